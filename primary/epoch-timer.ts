import type { AlarmClock, CallOff } from '../shared/clock.ts';
import { type PaceLimits, paceEpoch } from './epoch-pace.ts';

export interface EpochTimerParts {
  readonly clock: AlarmClock;
  readonly limits: PaceLimits;
  /** Looks at the running guest: pages to be captured; undefined where that does not pay. */
  readonly look: () => Promise<number | undefined>;
  /** A checkpoint is to be taken. */
  readonly onDue: () => void;
}

/** What the last checkpoint was like. */
export interface EpochTaken {
  readonly pauseMs: number;
  readonly pages: number;
  readonly capacityPages: number;
}

/** Says when the next checkpoint is due, as `epoch-pace.ts` has it. */
export class EpochTimer {
  readonly #parts: EpochTimerParts;
  #startedAtMs = 0;
  #coveredAtMs = 0;
  #taken: EpochTaken = { pauseMs: 0, pages: 0, capacityPages: Number.POSITIVE_INFINITY };
  #outputWaits = false;
  #canLook = true;
  #isRunning = false;
  /** Counts starts: what was asked for an earlier epoch means nothing. */
  #serial = 0;
  #callOff: CallOff = () => {};

  constructor(parts: EpochTimerParts) {
    this.#parts = parts;
  }

  /**
   * A checkpoint begins, and with it an epoch. `isFirst`: of a protected term; that one began with the
   * checkpoint that the term rests on, and what was said since then waits for the next one.
   */
  start(isFirst = false): void {
    this.#serial += 1;
    this.#startedAtMs = isFirst ? this.#coveredAtMs : this.#parts.clock.nowMs();
    this.#isRunning = true;
    this.#next(undefined);
  }

  stop(): void {
    this.#serial += 1;
    this.#isRunning = false;
    this.#callOff();
  }

  /** The guest said something that waits for a checkpoint. */
  outputWaits(): void {
    if (this.#outputWaits) return;
    this.#outputWaits = true;
    if (this.#isRunning) this.#next(undefined);
  }

  /** What was said until now goes out with a checkpoint that begins, or stands at its barrier. */
  covered(): void {
    this.#outputWaits = false;
    this.#coveredAtMs = this.#parts.clock.nowMs();
  }

  /** The checkpoint was like this, and the guest runs on. */
  paused(taken: EpochTaken): void {
    this.#taken = taken;
  }

  #next(pages: number | undefined): void {
    const { clock, limits, onDue } = this.#parts;
    this.#callOff();
    const { pauseMs, pages: pagesBefore, capacityPages } = this.#taken;
    const step = paceEpoch(
      {
        sinceMs: clock.nowMs() - this.#startedAtMs,
        ...{ outputWaits: this.#outputWaits, canLook: this.#canLook },
        ...{ pauseMs, pages, pagesBefore, capacityPages },
      },
      limits,
    );
    switch (step.kind) {
      case 'checkpoint':
        this.#isRunning = false;
        onDue();
        return;
      case 'look':
        this.#look();
        return;
      case 'wait': {
        const serial = this.#serial;
        this.#callOff = clock.after(step.ms, () => {
          if (serial === this.#serial && this.#isRunning) this.#next(undefined);
        });
        return;
      }
    }
  }

  /** Errors of a look are its session's: they end it. */
  #look(): void {
    const serial = this.#serial;
    this.#parts.look().then(
      (pages) => {
        if (serial !== this.#serial || !this.#isRunning) return;
        this.#canLook = pages !== undefined;
        this.#next(pages);
      },
      () => {},
    );
  }
}
