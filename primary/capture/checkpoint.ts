import type { Clock } from '../../shared/clock.ts';
import { isUnderstudyError, UnderstudyError } from '../../shared/errors.ts';
import type { DirectIoMark, Guest } from '../../shared/guest/guest.ts';
import type { SpanList } from '../../shared/observe/spans.ts';
import type { PageSet } from '../../shared/page-set.ts';
import { saysGuestIsGone } from '../guest-listener.ts';
import type { CaptureSlots } from './capture-slots.ts';
import type { WrittenPages } from './written-pages.ts';

export interface CheckpointOptions {
  readonly guest: Guest;
  readonly clock: Clock;
  /**
   * Its pages are captured. The checkpoint scans, and forgets the pages once all of them have
   * reached the slots or the stream: if it fails midway nothing is forgotten.
   */
  readonly written: WrittenPages;
  /** May hold pages that were captured live. */
  readonly slots: CaptureSlots;
  /** As the guest gave it just before the first live scan; undefined: there was none. */
  readonly directIoBefore?: DirectIoMark;
  /** Also takes a new baseline, which makes this one pause longer. */
  readonly withBaseline: boolean;
  /** Encodes and sends a full buffer in the pause, because more pages are dirty than fit. */
  readonly drain: (count: number) => Promise<void>;
  /** The guest is handed over at this checkpoint: it stays paused. Not where it fails. */
  readonly staysPaused?: boolean;
  /** Called at the end of the pause: whatever the guest has said by then belongs to it. */
  readonly beforeResume?: () => void;
  /** Sees what was captured, after the pause; `written` is forgotten next. */
  readonly beforeForget?: (pause: PausedCapture) => void;
}

/** What a pause captured, and how long it took. */
export interface PausedCapture {
  /** What its scan found: valid until the next one. */
  readonly scanned: PageSet;
  readonly scanMs: number;
  readonly copiedPages: number;
  /** With the time for draining, where there were more pages than room. */
  readonly copyMs: number;
}

export interface Checkpoint {
  /** Pages that were copied in the pause. */
  readonly copiedPages: number;
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
  const { guest, written, slots, clock } = options;
  // Beside the running guest; if it fails, nothing was stopped.
  await guest.wake?.();
  const pausedAtMs = clock.nowMs();
  try {
    await guest.pause();
    const stoppedAtMs = clock.nowMs();
    const baseline = options.withBaseline ? await guest.saveBaseline() : undefined;
    const deviceSaved = guest.saveDeviceState();
    // A failed copy must not leave this promise without a handler.
    deviceSaved.catch(() => {});
    const scanStartMs = clock.nowMs();
    const scanned = written.scanPaused();
    const scannedAtMs = clock.nowMs();
    if (await wasDirectIo(options)) written.recaptureCandidates();
    const copiedPages = written.toCapture.size;
    await slots.capture(written.toCapture, options.drain);
    const copiedAtMs = clock.nowMs();
    const deviceState = await deviceSaved;
    const savedAtMs = clock.nowMs();
    options.beforeResume?.();
    if (options.staysPaused !== true) await guest.resume();
    const resumedAtMs = clock.nowMs();
    // All of them have reached the slots or the stream: the books start anew.
    const scanMs = scannedAtMs - scanStartMs;
    options.beforeForget?.({ scanned, scanMs, copiedPages, copyMs: copiedAtMs - scannedAtMs });
    written.forget();
    return {
      copiedPages,
      deviceState,
      baseline,
      pausedAtMs,
      pauseMs: resumedAtMs - pausedAtMs,
      phasesMs: {
        stop: stoppedAtMs - pausedAtMs,
        scan: scanMs,
        copy: copiedAtMs - scannedAtMs,
        device: savedAtMs - copiedAtMs + (scanStartMs - stoppedAtMs),
        resume: resumedAtMs - savedAtMs,
      },
    };
  } catch (error) {
    await guest.resume().catch((cause: unknown) => {
      // Nothing is left to let run; what failed before failed by that.
      throw saysGuestIsGone(cause) ? cause : staysPaused(error, cause);
    });
    throw error;
  }
}

/** The pause and its phases, one after the other: device state is saved beside some of them. */
export function addPause(spans: SpanList, { pausedAtMs, pauseMs, phasesMs }: Checkpoint): void {
  spans.add('pause', pausedAtMs, pauseMs);
  let fromMs = pausedAtMs;
  for (const phase of ['stop', 'scan', 'copy', 'device', 'resume'] as const) {
    spans.add(phase, fromMs, phasesMs[phase]);
    fromMs += phasesMs[phase];
  }
}

/** The guest stands still, so a request that was under way at a live scan has ended since. */
async function wasDirectIo({ guest, directIoBefore }: CheckpointOptions): Promise<boolean> {
  if (directIoBefore === undefined) return false;
  return directIoBefore === null || (await guest.directIoMark()) !== directIoBefore;
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
