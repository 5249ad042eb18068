import type { Clock } from '../../shared/clock.ts';
import { isUnderstudyError, UnderstudyError } from '../../shared/errors.ts';
import type { Guest } from '../../shared/guest/guest.ts';
import type { PageSet } from '../../shared/page-set.ts';
import type { DirtyTracker } from './tracker.ts';

/** Where captured pages go: slots of one page each, filled from 0. */
export interface CaptureBuffer {
  readonly captureBuffer: Uint8Array;
  readonly captureCapacityPages: number;
  /** Page number of each slot. */
  readonly capturePages: Uint32Array;
}

export interface CheckpointOptions {
  readonly guest: Guest;
  readonly tracker: DirtyTracker;
  readonly clock: Clock;
  readonly buffer: CaptureBuffer;
  /**
   * Pages to capture. The checkpoint adds what was written, and removes what reached the buffer
   * for good: if it fails midway nothing is forgotten.
   */
  readonly dirty: PageSet;
  /** Also takes a new baseline, which makes this one pause longer. */
  readonly withBaseline: boolean;
  /** Encodes and sends a full buffer in the pause, because more pages are dirty than fit. */
  readonly drain: (count: number) => Promise<void>;
  /** Called at the end of the pause: whatever the guest has said by then belongs to it. */
  readonly beforeResume?: () => void;
  /** Sees what was dirty once all of it is captured, before it is forgotten. */
  readonly beforeForget?: (dirty: PageSet) => void;
}

export interface Checkpoint {
  /** Pages in the buffer's slots 0 … count − 1, still to be encoded. */
  readonly count: number;
  readonly dirtyPages: number;
  readonly deviceState: Uint8Array;
  readonly baseline: Uint8Array | undefined;
  readonly pausedAtMs: number;
  readonly pauseMs: number;
  readonly phasesMs: {
    readonly stop: number;
    readonly scan: number;
    readonly copy: number;
    readonly device: number;
    readonly resume: number;
  };
}

/**
 * One checkpoint: steps 1 to 3 of the design's "One epoch step by step". Only what needs a
 * stopped guest happens between `pause` and `resume`. QEMU saves device state on its own thread
 * while this one copies pages: saving devices writes no RAM (QEMU itself saves RAM first).
 *
 * On an error the guest is made to run again before the error is thrown.
 */
export async function takeCheckpoint(options: CheckpointOptions): Promise<Checkpoint> {
  const { guest, tracker, clock, dirty } = options;
  const pausedAtMs = clock.nowMs();
  try {
    await guest.pause();
    const stoppedAtMs = clock.nowMs();
    const baseline = options.withBaseline ? await guest.saveBaseline() : undefined;
    const deviceSaved = guest.saveDeviceState();
    // A failed copy must not leave this promise without a handler.
    deviceSaved.catch(() => {});
    const scanStartMs = clock.nowMs();
    tracker.collect(dirty);
    const dirtyPages = dirty.size;
    const scannedAtMs = clock.nowMs();
    const count = await copyDirtyPages(options);
    const copiedAtMs = clock.nowMs();
    const deviceState = await deviceSaved;
    const savedAtMs = clock.nowMs();
    options.beforeResume?.();
    await guest.resume();
    const resumedAtMs = clock.nowMs();
    // Everything that was dirty has reached the buffer or the stream: the set starts anew.
    options.beforeForget?.(dirty);
    dirty.clear();
    return {
      count,
      dirtyPages,
      deviceState,
      baseline,
      pausedAtMs,
      pauseMs: resumedAtMs - pausedAtMs,
      phasesMs: {
        stop: stoppedAtMs - pausedAtMs,
        scan: scannedAtMs - scanStartMs,
        copy: copiedAtMs - scannedAtMs,
        device: savedAtMs - copiedAtMs + (scanStartMs - stoppedAtMs),
        resume: resumedAtMs - savedAtMs,
      },
    };
  } catch (error) {
    await guest.resume().catch((cause: unknown) => {
      throw staysPaused(error, cause);
    });
    throw error;
  }
}

/** Copies dirty pages into the buffer; drains it whenever it is full and more are to come. */
async function copyDirtyPages(options: CheckpointOptions): Promise<number> {
  const { guest, dirty, buffer } = options;
  let from = 0;
  for (;;) {
    const count = dirty.take(from, buffer.capturePages.subarray(0, buffer.captureCapacityPages));
    if (count > 0) {
      guest.memory.copyPages(buffer.capturePages, count, buffer.captureBuffer, 0);
      from = buffer.capturePages[count - 1]! + 1;
    }
    if (count < buffer.captureCapacityPages || !hasMore(dirty, from)) return count;
    await options.drain(count);
  }
}

const oneSlot = new Uint32Array(1);

function hasMore(dirty: PageSet, from: number): boolean {
  return dirty.take(from, oneSlot) === 1;
}

/** QEMU does not answer: the next session's first pause ends with the guest running. */
function staysPaused(error: unknown, cause: unknown): unknown {
  if (!isUnderstudyError(error) || !isUnderstudyError(cause)) {
    return new AggregateError(
      [error, cause],
      'a checkpoint failed and so did letting the guest run',
    );
  }
  const message = `a checkpoint failed (${error.message}) and the guest can't be let run`;
  return new UnderstudyError('E_GUEST_STAYS_PAUSED', `${message}: ${cause.message}`, {
    hint: 'It is tried again with the next session. See whether QEMU hangs: qemu.log, its state in ps.',
    cause: error,
  });
}
