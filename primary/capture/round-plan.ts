/**
 * When to capture live, as pure functions of what was measured. A pause has to copy what is not
 * copied yet, so rounds before it pay as long as what the guest writes during a round is less
 * than what the round takes off.
 *
 *   written ──► send ──► copy ──► copy ──► pause
 *    25,000     25,000    2,500     60        2       pages; at 25 written in a millisecond,
 *               100 ms   2.5 ms    0.1 ms             where a page costs 1 µs to copy, 4 to send
 *
 * A **copy** round copies pages into the capture buffer; if they are written again they are copied
 * over. A **send** round encodes and sends the buffer as well: it takes longer, and a page written
 * again is sent again, but the work after the pause, and with it the time until output may go,
 * shrinks. So the sending comes first and a copy last.
 *
 * A buffer that is full in the pause is sent in the pause, which takes ten times as long as all else.
 * So where what is left may not fit beside what is held, what is held is sent first.
 */

/** Measured, and smoothed from round to round. */
export interface RoundCosts {
  /** A scan just after another one. */
  readonly scanMs: number;
  /** One after a while: the guest's page tables, 2 MiB a GiB, have to come from memory again. */
  readonly coldScanMs: number;
  readonly copyMsPerPage: number;
  /** Encoding, and handing over to the stream: with a slow link its waiting is in here. */
  readonly sendMsPerPage: number;
  /** Distinct pages that the guest writes in a millisecond, and those of them that are not hot. */
  readonly writtenPerMs: number;
  readonly coldWrittenPerMs: number;
  /** Pages that an epoch has written lately: rises at once, falls slowly. */
  readonly pagesPerEpoch: number;
}

/** Before anything was measured: as on a slow core, so that the first rounds are careful. */
export const costsAtStart: RoundCosts = {
  scanMs: 1,
  coldScanMs: 1,
  copyMsPerPage: 0.001,
  sendMsPerPage: 0.008,
  writtenPerMs: 0,
  coldWrittenPerMs: 0,
  pagesPerEpoch: 0,
};

/** What one step showed; what it did not show is left out. */
export type CostSample = { readonly [K in keyof RoundCosts]?: number };

/** A copy of so few pages is too short to say what a page costs. */
export const samplePagesMin = 64;

const weight = 0.25;
const pagesPerEpochDecay = 0.8;

export function learnCosts(costs: RoundCosts, sample: CostSample): RoundCosts {
  const smooth = (key: keyof RoundCosts): number =>
    sample[key] === undefined ? costs[key] : costs[key] + weight * (sample[key] - costs[key]);
  return {
    scanMs: smooth('scanMs'),
    coldScanMs: smooth('coldScanMs'),
    copyMsPerPage: smooth('copyMsPerPage'),
    sendMsPerPage: smooth('sendMsPerPage'),
    writtenPerMs: smooth('writtenPerMs'),
    coldWrittenPerMs: smooth('coldWrittenPerMs'),
    pagesPerEpoch: Math.max(
      sample.pagesPerEpoch ?? 0,
      costs.pagesPerEpoch * (sample.pagesPerEpoch === undefined ? 1 : pagesPerEpochDecay),
    ),
  };
}

/** Not worth a round: what the pause gains by it. */
const gainMsMin = 0.25;
/** Work after the pause that is worth a send round, … */
const sendMsMin = 5;
/** … unless more than this share of its pages is expected to be sent again. */
const sentTwiceShareMax = 0.5;

/** A longer scan is one of the `scan` tracker, or of a very large guest: not made for its warmth. */
const warmingScanMsMax = 20;
/** A millisecond of work beside the guest that is worth one of a pause. */
const workPerPause = 2;

/**
 * Whether a live scan may shorten the next pause at all: by what needs no copy in it, and as the
 * scan of the pause finds its tables in the cache. An idle guest gets none.
 */
export function roundsPay(costs: RoundCosts): boolean {
  const { coldScanMs, scanMs } = costs;
  const copyMs = costs.pagesPerEpoch * costs.copyMsPerPage;
  if (copyMs > gainMsMin + coldScanMs) return true;
  if (coldScanMs > warmingScanMsMax) return false;
  const warmthMs = Math.max(0, coldScanMs - scanMs);
  return copyMs > gainMsMin && copyMs + warmthMs > gainMsMin + coldScanMs / workPerPause;
}

export interface RoundView {
  /** Rounds that are still allowed. */
  readonly roundsLeft: number;
  /** Pages that are to be captured, and those of them that are not forecast to be hot. */
  readonly pages: number;
  readonly coldPages: number;
  /** Pages that wait in the buffer, and how many more it takes at the least. */
  readonly heldPages: number;
  readonly roomPages: number;
}

/** What to do after a live scan: `send` is for cold pages, `copy` for all of them. */
export type RoundPlan = 'copy' | 'send' | 'pause';

export function planRound(view: RoundView, costs: RoundCosts): RoundPlan {
  const { roundsLeft, pages, coldPages, heldPages } = view;
  const { scanMs, copyMsPerPage, sendMsPerPage } = costs;
  if (roundsLeft <= 0) return 'pause';
  const sendMs = (heldPages + coldPages) * sendMsPerPage;
  if (pauseOverflows(view, costs) && costs.writtenPerMs * sendMs <= heldPages) return 'send';
  // What is sent is followed by a copy, or the pause would copy what was written while it was sent.
  if (roundsLeft > 1 && coldPages > 0 && sendMs >= sendMsMin) {
    const roundMs = scanMs + coldPages * copyMsPerPage + sendMs;
    if (costs.coldWrittenPerMs * roundMs <= sentTwiceShareMax * coldPages) return 'send';
  }
  const writtenMeanwhile = costs.writtenPerMs * (scanMs + pages * copyMsPerPage);
  return (pages - writtenMeanwhile) * copyMsPerPage > gainMsMin ? 'copy' : 'pause';
}

/** From the last live scan until the guest stands still, at a busy moment. */
const stopMsMax = 8;

/** Whether a pause now may find more pages than there is room for. */
function pauseOverflows({ pages, heldPages, roomPages }: RoundView, costs: RoundCosts): boolean {
  return heldPages > 0 && pages + costs.writtenPerMs * stopMsMax > roomPages;
}

/** Where the operator wants so many rounds: all but the last are sent at once. */
export function fixedRound(roundsLeft: number): RoundPlan {
  if (roundsLeft <= 0) return 'pause';
  return roundsLeft === 1 ? 'copy' : 'send';
}
