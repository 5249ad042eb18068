/**
 * How long an epoch is, as pure functions of what is known while it lasts:
 *
 *   output waits         a checkpoint soon: as early as the pause is a tenth of the epoch
 *   much was written     a checkpoint before the capture buffer is full
 *   hardly anything was  none yet: up to `longestMs`
 *   otherwise            after `intervalMs`
 *
 * And how much a guest is slowed down whose checkpoints can't be taken because the link or the
 * backup is behind, so that what it writes still fits.
 */
export interface PaceLimits {
  readonly intervalMs: number;
  /** shortestMs ≤ intervalMs ≤ longestMs */
  readonly shortestMs: number;
  readonly longestMs: number;
}

export interface PaceView {
  /** Since the last checkpoint began. */
  readonly sinceMs: number;
  /** The guest said something that waits for the next checkpoint. */
  readonly outputWaits: boolean;
  /** How long pauses were lately. */
  readonly pauseMs: number;
  /** Pages to be captured, found by a look at the running guest; undefined: nobody looked. */
  readonly pages: number | undefined;
  /** Pages of the epoch before. */
  readonly pagesBefore: number;
  readonly capacityPages: number;
  /** False where a look costs as much as a checkpoint, or is not possible. */
  readonly canLook: boolean;
}

export type PaceStep =
  | { readonly kind: 'checkpoint' }
  | { readonly kind: 'look' }
  | { readonly kind: 'wait'; readonly ms: number };

/** So little that a guest which writes no more is idle: timers, the kernel's own upkeep. */
const idlePagesMax = 128;
/** Epochs for waiting output are at least so many pauses long. */
const pausesPerEpochMin = 10;
/** Of the capture buffer: a checkpoint is taken now. */
const fullShare = 0.75;
/** The epoch before had so much: the next one is looked at in between. */
const watchedShare = 0.25;
const looksPerInterval = 4;

export function paceEpoch(view: PaceView, limits: PaceLimits): PaceStep {
  const { sinceMs, pages, capacityPages, canLook } = view;
  const { intervalMs, longestMs } = limits;
  if (pages !== undefined && pages >= fullShare * capacityPages) return { kind: 'checkpoint' };
  const dueMs = view.outputWaits ? soonestMs(view, limits) : intervalMs;
  if (sinceMs < dueMs) {
    const isWatched = canLook && view.pagesBefore >= watchedShare * capacityPages;
    const lookMs = intervalMs / looksPerInterval;
    const isLookDue = isWatched && pages === undefined && sinceMs >= lookMs;
    if (isLookDue) return { kind: 'look' };
    return { kind: 'wait', ms: isWatched ? Math.min(lookMs, dueMs - sinceMs) : dueMs - sinceMs };
  }
  if (view.outputWaits || sinceMs >= longestMs || !canLook) return { kind: 'checkpoint' };
  if (pages === undefined) return { kind: 'look' };
  if (pages > idlePagesMax) return { kind: 'checkpoint' };
  return { kind: 'wait', ms: Math.min(intervalMs, longestMs - sinceMs) };
}

function soonestMs({ pauseMs }: PaceView, { shortestMs, intervalMs }: PaceLimits): number {
  return Math.min(intervalMs, Math.max(shortestMs, pausesPerEpochMin * pauseMs));
}

/** From this share of the capture buffer on a guest is slowed down, … */
const brakeFromShare = 0.5;
/** … up to so much of its time, where the buffer is full. */
const brakeMax = 0.9;

/** The share of its time that a guest stands still while its checkpoints can't be taken. */
export function brakeShare(pages: number, capacityPages: number): number {
  const full = Math.min(1, pages / capacityPages);
  return brakeMax * Math.max(0, (full - brakeFromShare) / (1 - brakeFromShare));
}
