import { bounds } from '../bounds.ts';
import type { GuestName } from '../ids.ts';
import type { Arbiter } from './arbiter.ts';
import { arbiterAway } from './arbiter-error.ts';
import { SettlingArbiter, type SettlingOptions } from './settling-arbiter.ts';
import { decodeTermRecord, encodeTermRecord, type TermRecord } from './term-record.ts';
import type { PutAnswer, TermStore } from './term-store.ts';

/** How one question and its answer fare. */
export interface Passage {
  /** From the question to its effect; null: it is lost on the way. May be far over the limit. */
  readonly requestMs: number | null;
  /** From the effect to the answer; null: the answer is lost. */
  readonly answerMs: number | null;
}

export interface MemoryTermsOptions {
  /** Runs `run` after `ms` of the simulation's time: `MemoryBus.schedule`, for one. */
  readonly schedule: (ms: number, run: () => void) => void;
}

export interface MemoryLinkOptions {
  /** Decides, question by question. Default: 1 ms there, 1 ms back. */
  readonly passage?: (operation: 'last' | 'put') => Passage;
  readonly answerMs?: number;
  readonly settling?: Omit<SettlingOptions, 'pause'>;
}

/**
 * A stream of terms inside the process, for tests and simulation. It reads no clock, draws no
 * random number and starts no timer: the same passages give the same run.
 */
export class MemoryTerms {
  readonly #schedule: MemoryTermsOptions['schedule'];
  readonly #stored = new Map<GuestName, { term: number; bytes: Uint8Array }[]>();

  constructor(options: MemoryTermsOptions) {
    this.#schedule = options.schedule;
  }

  /** One agent's way to it. */
  connect(guest: GuestName, options: MemoryLinkOptions = {}): MemoryLink {
    return new MemoryLink(this, this.#schedule, guest, options);
  }

  /** All terms of a guest, in the order in which they were stored: for checkers. */
  history(guest: GuestName): TermRecord[] {
    const stored = this.#stored.get(guest) ?? [];
    return stored.map(({ term, bytes }) => decodeTermRecord(bytes, guest, term));
  }

  /** As if the stream had been removed and made anew. */
  forget(): void {
    this.#stored.clear();
  }

  /** As if somebody had published by hand. */
  publishByHand(guest: GuestName, term: number, bytes: Uint8Array): void {
    const stored = this.#stored.get(guest) ?? [];
    this.#stored.set(guest, [...stored, { term, bytes }]);
  }

  /** For the link: what the stream's leader does. */
  last(guest: GuestName): TermRecord | null {
    const found = this.#stored.get(guest)?.at(-1);
    return found === undefined ? null : decodeTermRecord(found.bytes, guest, found.term);
  }

  put(guest: GuestName, term: number, bytes: Uint8Array): PutAnswer {
    const stored = this.#stored.get(guest) ?? [];
    if (stored.some((each) => each.term === term)) {
      return { stored: false, why: 'wrong last sequence' };
    }
    this.#stored.set(guest, [...stored, { term, bytes }]);
    return { stored: true };
  }
}

export class MemoryLink implements TermStore {
  readonly arbiter: Arbiter;
  /** While true nothing comes through, either way; what is under way is lost when it arrives. */
  away = false;
  readonly #terms: MemoryTerms;
  readonly #schedule: MemoryTermsOptions['schedule'];
  readonly #guest: GuestName;
  readonly #passage: (operation: 'last' | 'put') => Passage;
  readonly #answerMs: number;

  constructor(
    terms: MemoryTerms,
    schedule: MemoryTermsOptions['schedule'],
    guest: GuestName,
    options: MemoryLinkOptions,
  ) {
    this.#terms = terms;
    this.#schedule = schedule;
    this.#guest = guest;
    this.#passage = options.passage ?? (() => ({ requestMs: 1, answerMs: 1 }));
    this.#answerMs = options.answerMs ?? bounds.arbiterAnswerMs;
    const pause = (ms: number) => new Promise<void>((resolve) => schedule(ms, resolve));
    this.arbiter = new SettlingArbiter(this, { ...options.settling, pause });
  }

  async last(): Promise<TermRecord | null> {
    return await this.#ask('last', () => this.#terms.last(this.#guest));
  }

  async put(record: TermRecord): Promise<PutAnswer> {
    if (record.guest !== this.#guest) throw new Error(`a record of ${record.guest}`);
    const bytes = encodeTermRecord(record);
    return await this.#ask('put', () => this.#terms.put(this.#guest, record.term, bytes));
  }

  /** Runs `effect` when the question arrives, and answers with what it gave or threw. */
  #ask<T>(operation: 'last' | 'put', effect: () => T): Promise<T> {
    const { requestMs, answerMs } = this.#passage(operation);
    return new Promise<T>((resolve, reject) => {
      this.#schedule(this.#answerMs, () => {
        reject(arbiterAway(operation, `no answer within ${this.#answerMs} ms`));
      });
      if (this.away || requestMs === null) return;
      this.#schedule(requestMs, () => {
        if (this.away) return;
        let answer: () => void;
        try {
          const given = effect();
          answer = () => resolve(given);
        } catch (error) {
          answer = () => reject(error);
        }
        if (answerMs === null) return;
        this.#schedule(answerMs, () => {
          if (!this.away) answer();
        });
      });
    });
  }
}
