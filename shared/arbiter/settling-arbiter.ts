import { bounds } from '../bounds.ts';
import { monotonicClock, sleep } from '../clock.ts';
import { isUnderstudyError } from '../errors.ts';
import type { Arbiter, TermOutcome } from './arbiter.ts';
import { arbiterAway } from './arbiter-error.ts';
import { encodeTermRecord, type TermRecord } from './term-record.ts';
import type { TermStore } from './term-store.ts';

export interface SettlingOptions {
  readonly attemptsMax?: number;
  readonly retryWaitMs?: number;
  /** Waits between attempts. Default: the machine's timer. */
  readonly pause?: (ms: number) => Promise<void>;
}

/**
 * The rule that turns single questions, whose answers can be lost, into one decision.
 *
 * A creation is asked for again, with the same nonce, until an answer or the record decides it:
 * the highest term is this one with our nonce (won), this one with another nonce or a higher one
 * (lost). A record without the term decides nothing: what was sent may still be under way.
 *
 * Invariant: terms leave no gap, so the order in which they were stored is their order, and the
 * last one stored is the highest. Whoever creates term n has seen term n-1.
 */
export class SettlingArbiter implements Arbiter {
  readonly #store: TermStore;
  readonly #attemptsMax: number;
  readonly #retryWaitMs: number;
  readonly #pause: (ms: number) => Promise<void>;
  #highestSeen = 0;
  #undecided: TermRecord | null = null;
  #creating = false;

  constructor(store: TermStore, options: SettlingOptions = {}) {
    this.#store = store;
    this.#attemptsMax = options.attemptsMax ?? bounds.arbiterAttemptsMax;
    this.#retryWaitMs = options.retryWaitMs ?? bounds.arbiterRetryWaitMs;
    this.#pause = options.pause ?? ((ms) => sleep(monotonicClock, ms));
  }

  get undecided(): TermRecord | null {
    return this.#undecided;
  }

  async latest(): Promise<TermRecord | null> {
    return await this.#insist('latest', async () => {
      const found = await this.#store.last();
      this.#saw(found);
      return { settled: found };
    });
  }

  async create(record: TermRecord): Promise<TermOutcome> {
    this.#begin(record);
    try {
      return await this.#insist(`creating term ${record.term}`, () => this.#attempt(record));
    } finally {
      this.#creating = false;
    }
  }

  #begin(record: TermRecord): void {
    const { term } = record;
    if (this.#creating) throw new Error('a creation of a term is under way already');
    if (term > this.#highestSeen + 1) {
      throw new Error(`term ${term} would leave a gap after term ${this.#highestSeen}`);
    }
    const open = this.#undecided;
    if (open !== null && !isSame(open, record)) {
      throw new Error(`term ${open.term} is undecided: no other may be created`);
    }
    encodeTermRecord(record);
    this.#creating = true;
  }

  async #attempt(record: TermRecord): Promise<Step<TermOutcome>> {
    let why = '';
    // A term that is not above what was seen is there: putting could only fill a gap.
    if (record.term > this.#highestSeen) {
      this.#undecided = record;
      try {
        const answer = await this.#store.put(record);
        if (answer.stored) {
          this.#saw(record);
          return { settled: { won: true, record } };
        }
        why = answer.why;
      } catch (error) {
        if (!isUnderstudyError(error, 'E_ARBITER_AWAY')) throw error;
        why = String(error.fields.why);
      }
    }
    const found = await this.#store.last();
    this.#saw(found);
    if (found === null || found.term < record.term) return { unsettled: why };
    return { settled: { won: found.nonce === record.nonce, record: found } };
  }

  /** What was stored decides every creation of the same or a lower term. */
  #saw(found: TermRecord | null): void {
    if (found === null) return;
    this.#highestSeen = Math.max(this.#highestSeen, found.term);
    if (this.#undecided !== null && found.term >= this.#undecided.term) this.#undecided = null;
  }

  /** Asks until something is settled, or nothing answered `attemptsMax` times. */
  async #insist<T>(what: string, ask: () => Promise<Step<T>>): Promise<T> {
    let why: string;
    let cause: unknown;
    for (let attempt = 1; ; attempt++) {
      try {
        const step = await ask();
        if ('settled' in step) return step.settled;
        why = step.unsettled;
      } catch (error) {
        if (!isUnderstudyError(error, 'E_ARBITER_AWAY')) throw error;
        why = String(error.fields.why);
        cause = error;
      }
      if (attempt >= this.#attemptsMax) break;
      await this.#pause(this.#retryWaitMs);
    }
    throw arbiterAway(what, `${this.#attemptsMax} attempts, the last one: ${why}`, cause);
  }
}

type Step<T> = { readonly settled: T } | { readonly unsettled: string };

const isSame = (a: TermRecord, b: TermRecord): boolean =>
  Buffer.compare(encodeTermRecord(a), encodeTermRecord(b)) === 0;
