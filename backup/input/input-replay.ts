import { type AlarmClock, sleep } from '../../shared/clock.ts';
import { networkBounds } from '../../shared/net/network-bounds.ts';
import type { EmitEvent } from '../../shared/observe/events.ts';
import type { InputFrame } from '../../shared/wire/input-body.ts';

/**
 * Tells the guest that was resumed what its old copy was told after the checkpoint, in order and as
 * fast as QEMU takes it. What does not fit the time is lost, and said: `replayed` is less than
 * `frames` then.
 */
export async function replayInput(
  frames: readonly InputFrame[],
  deliver: (card: number, frame: Uint8Array) => boolean,
  clock: AlarmClock,
  emit: EmitEvent,
): Promise<void> {
  const startedAtMs = clock.nowMs();
  let replayed = 0;
  while (replayed < frames.length) {
    const { card, frame } = frames[replayed]!;
    if (deliver(card, frame)) replayed += 1;
    else if (clock.nowMs() - startedAtMs > networkBounds.replayMsMax) break;
    else await sleep(clock, networkBounds.replayRetryMs);
  }
  const replayMs = clock.nowMs() - startedAtMs;
  emit({ kind: 'replay', frames: frames.length, replayed, replayMs });
}
