import { bounds } from '../../shared/bounds.ts';
import type { Clock } from '../../shared/clock.ts';
import type { SpanList } from '../../shared/observe/spans.ts';
import { PageSet } from '../../shared/page-set.ts';
import type { CaptureSlots } from './capture-slots.ts';
import type { PausedCapture } from './checkpoint.ts';
import {
  costsAtStart,
  fixedRound,
  learnCosts,
  planRound,
  type RoundCosts,
  type RoundPlan,
  roundsPay,
  samplePagesMin,
} from './round-plan.ts';
import { WriteForecast } from './write-forecast.ts';
import type { WrittenPages } from './written-pages.ts';

export interface LiveRoundsParts {
  readonly written: WrittenPages;
  readonly slots: CaptureSlots;
  readonly clock: Clock;
  readonly spans: SpanList;
  /** null: as many as pay. */
  readonly roundsWanted: number | null;
  /** Encodes and sends slots 0 … count − 1. */
  readonly drain: (count: number) => Promise<void>;
}

/** A scan that takes longer is one of the `scan` tracker, or of a very large guest. */
const lookMsMax = 5;

/** What the rounds of one epoch did. */
export interface LiveResult {
  readonly rounds: number;
  /** Pages copied while the guest ran, each time they were. */
  readonly pages: number;
}

/**
 * Captures while the guest runs, so that the pause finds little to copy: scan, copy what was
 * written, and so on as long as `round-plan.ts` says that it pays. Pages that the forecast expects
 * to be written again are not sent before the pause.
 */
export class LiveRounds {
  readonly #parts: LiveRoundsParts;
  readonly #forecast: WriteForecast;
  /** Pages of the first scan of the epoch; those written again until the pause. */
  readonly #found: PageSet;
  readonly #again: PageSet;
  /** What a round copies. */
  readonly #batch: PageSet;
  #costs: RoundCosts = costsAtStart;
  #scannedAtMs = 0;
  /** This epoch was scanned live. */
  #isWarm = false;
  #rounds = 0;
  #pages = 0;

  constructor(parts: LiveRoundsParts, pageCount: number) {
    this.#parts = parts;
    this.#forecast = new WriteForecast(pageCount);
    this.#found = new PageSet(pageCount);
    this.#again = new PageSet(pageCount);
    this.#batch = new PageSet(pageCount);
  }

  /** Whether the next pause is worth a live scan. */
  get pay(): boolean {
    const { roundsWanted, written } = this.#parts;
    if (!written.canScanLive) return false;
    return roundsWanted === null ? roundsPay(this.#costs) : roundsWanted > 0;
  }

  /** Whether a look at the running guest is cheaper than a checkpoint by far. */
  get looksPay(): boolean {
    const { roundsWanted, written } = this.#parts;
    return roundsWanted !== 0 && written.canScanLive && this.#costs.coldScanMs < lookMsMax;
  }

  /**
   * Runs the rounds of one epoch; a pause is to follow at once. `slots` may hold pages then.
   * Between two parts of a round others get their turn: in `drain`.
   */
  async run(): Promise<void> {
    const { written, slots, roundsWanted, drain } = this.#parts;
    for (let round = 0; ; round++) {
      this.#scan(round);
      const coldPages = this.#coldOf(written.toCapture);
      const roundsLeft = (roundsWanted ?? bounds.liveRoundsMax) - round;
      const held = { heldPages: slots.count, roomPages: slots.roomPages };
      const sizes = { coldPages, pages: written.toCapture.size, ...held };
      const plan =
        roundsWanted === null
          ? planRound({ roundsLeft, ...sizes }, this.#costs)
          : fixedRound(roundsLeft);
      if (plan === 'pause') return;
      // Copying a hot page may spare the pause a copy; sending it would be in vain.
      if (plan === 'copy') this.#batch.addAll(written.toCapture);
      const pages = this.#batch.size;
      await this.#capture(plan, drain);
      this.#rounds += 1;
      this.#pages += pages;
    }
  }

  /**
   * The pause has come and `written` was scanned: learns from it. `pages`: what the epoch wrote in all.
   */
  paused({ scanned, scanMs, copiedPages, copyMs }: PausedCapture, pages: number): LiveResult {
    if (this.#rounds > 0 || this.#found.size > 0) {
      this.#again.addAll(scanned);
      this.#forecast.observe(this.#found, this.#again);
    }
    this.#costs = learnCosts(this.#costs, {
      ...(this.#isWarm ? { scanMs } : { coldScanMs: scanMs }),
      pagesPerEpoch: pages,
    });
    this.#isWarm = false;
    if (copiedPages >= samplePagesMin && copiedPages <= this.#parts.slots.capacityPages / 2) {
      this.#costs = learnCosts(this.#costs, { copyMsPerPage: copyMs / copiedPages });
    }
    this.#found.clear();
    this.#again.clear();
    const result = { rounds: this.#rounds, pages: this.#pages };
    this.#rounds = 0;
    this.#pages = 0;
    return result;
  }

  #scan(round: number): void {
    const { written, clock, spans } = this.#parts;
    const startedAtMs = clock.nowMs();
    const scanned = written.scanLive();
    spans.end('live-scan', startedAtMs);
    const nowMs = clock.nowMs();
    if (round === 0) {
      // What looks have found before counts as found now.
      this.#found.addAll(written.toCapture);
      this.#costs = learnCosts(this.#costs, { coldScanMs: nowMs - startedAtMs });
    } else {
      this.#again.addAll(scanned);
      const tookMs = nowMs - this.#scannedAtMs;
      // Too short a time, and a few pages decide what the guest is thought to do.
      if (tookMs >= 1) {
        this.#costs = learnCosts(this.#costs, {
          scanMs: nowMs - startedAtMs,
          writtenPerMs: scanned.size / tookMs,
          coldWrittenPerMs: this.#coldOf(scanned) / tookMs,
        });
      }
    }
    this.#scannedAtMs = nowMs;
    this.#isWarm = true;
  }

  /** Puts the pages of the set that are not forecast to be hot into the batch; how many. */
  #coldOf(scanned: PageSet): number {
    this.#batch.clear();
    this.#batch.addAll(scanned);
    this.#forecast.removeHot(this.#batch);
    return this.#batch.size;
  }

  async #capture(plan: RoundPlan, drain: (count: number) => Promise<void>): Promise<void> {
    const { written, slots, clock, spans } = this.#parts;
    const pages = this.#batch.size;
    const startedAtMs = clock.nowMs();
    let drainMs = 0;
    let drained = 0;
    const timedDrain = async (count: number): Promise<void> => {
      const atMs = clock.nowMs();
      await drain(count);
      drainMs += clock.nowMs() - atMs;
      drained += count;
    };
    await slots.capture(this.#batch, timedDrain);
    spans.end('live-copy', startedAtMs);
    // Not before they are copied: if the copy fails they are still to be captured.
    written.toCapture.deleteAll(this.#batch);
    const copyMs = clock.nowMs() - startedAtMs - drainMs;
    if (plan === 'send' && slots.count > 0) {
      await timedDrain(slots.count);
      slots.clear();
    }
    if (pages >= samplePagesMin) {
      this.#costs = learnCosts(this.#costs, { copyMsPerPage: copyMs / pages });
    }
    if (drained >= samplePagesMin) {
      this.#costs = learnCosts(this.#costs, { sendMsPerPage: drainMs / drained });
    }
  }
}
