import type { Clock } from '../shared/clock.ts';
import { UnderstudyError } from '../shared/errors.ts';
import type { Guest } from '../shared/guest/guest.ts';
import type { Term } from '../shared/ids.ts';
import type { TakeoverDone } from '../shared/observe/events.ts';
import type { ReplicaStore } from './store/replica-store.ts';
import type { WarmStandby } from './warm-standby.ts';

export interface TakeoverParts {
  readonly store: ReplicaStore;
  readonly standby: WarmStandby;
  readonly clock: Clock;
  readonly term: Term;
  readonly verifyAtTakeover: 'full' | 'recorded';
  /** The primary's last sign of life, and when its silence was noticed. */
  readonly lastHeardAtMs: number;
  readonly silentAtMs: number;
}

/**
 * Resumes the guest from the epoch that the store holds. The claim is won and nothing is received
 * any more. Throws `E_TAKEOVER_DIGEST` where RAM is not what the primary checkpointed: a guest
 * with damaged memory is not let loose.
 */
export async function takeOver(
  parts: TakeoverParts,
): Promise<{ readonly guest: Guest; readonly done: TakeoverDone }> {
  const { store, standby, clock, lastHeardAtMs, silentAtMs } = parts;
  const decidedAtMs = clock.nowMs();
  const held = await store.takeForTakeover();
  const expected = hex(held.ramDigest);
  const startVerifyMs = clock.nowMs();
  const found = parts.verifyAtTakeover === 'full' ? hex(await store.fullRamDigest()) : null;
  const verifiedAtMs = clock.nowMs();
  if (found !== null && found !== expected) {
    throw new UnderstudyError(
      'E_TAKEOVER_DIGEST',
      `RAM of epoch ${held.epoch} has digest ${found}, the primary's had ${expected}`,
      {
        hint: 'The replica is damaged and was not resumed. Check this host for memory errors.',
        fields: { epoch: held.epoch, expected, found },
      },
    );
  }
  const ready = await standby.take();
  await ready.load(held.baseline, held.deviceState);
  const loadedAtMs = clock.nowMs();
  const guest = await ready.resume();
  const resumedAtMs = clock.nowMs();
  const done: TakeoverDone = {
    epoch: held.epoch,
    session: held.session,
    term: parts.term,
    ramDigestExpected: expected,
    ramDigestFound: found,
    lastHeardAtMs,
    phasesMs: {
      detect: silentAtMs - lastHeardAtMs,
      decide: decidedAtMs - silentAtMs,
      load: startVerifyMs - decidedAtMs + (loadedAtMs - verifiedAtMs),
      verify: verifiedAtMs - startVerifyMs,
      resume: resumedAtMs - loadedAtMs,
      total: resumedAtMs - lastHeardAtMs,
    },
    pid: ready.pid,
  };
  return { guest, done };
}

const hex = (digest: bigint): string => digest.toString(16).padStart(16, '0');
