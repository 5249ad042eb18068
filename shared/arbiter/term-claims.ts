import { type AlarmClock, monotonicClock, sleep } from '../clock.ts';
import { isUnderstudyError, type UnderstudyError } from '../errors.ts';
import { type Epoch, epoch, type GuestName, type SessionId, type Term, term } from '../ids.ts';
import type { Arbiter } from './arbiter.ts';
import { newNonce, type TermMode, type TermRecord } from './term-record.ts';

/** The highest term that was seen, kept so that nobody goes back: `HighestTerm`, or a test's. */
export interface TermMemory {
  observe(latest: TermRecord | null): Promise<void>;
}

export interface TermClaimsOptions {
  readonly arbiter: Arbiter;
  readonly memory: TermMemory;
  readonly guest: GuestName;
  /** 16 hex digits, the same as long as the host is the same. */
  readonly host: string;
  /** What was seen before this process, as far as it is remembered. */
  readonly highestSeen?: number;
  /** Told once for each reason for which the arbiter can't be asked, or believed. */
  readonly onWaiting: (error: UnderstudyError) => void;
  readonly clock?: AlarmClock;
  /** Draws what tells own records from foreign ones. */
  readonly nonce?: () => string;
}

export interface Claim {
  /** May depend on the highest term that is followed. */
  readonly mode: TermMode | ((latest: TermRecord | null) => TermMode);
  readonly session: SessionId | null;
  readonly baseEpoch: Epoch;
  /** Whether this side has the right to try, given the highest term. */
  readonly mayFollow: (latest: TermRecord | null) => boolean;
}

export type ClaimOutcome =
  | { readonly won: true; readonly term: Term; readonly mode: TermMode }
  /** Who holds the highest term; null where there is none and none may be created. */
  | { readonly won: false; readonly latest: TermRecord | null };

const retryMs = 250;

/**
 * One side's claims, one after the other, each pursued until it is decided: an arbiter that is
 * away is waited for, a creation whose answer was lost is settled before the next one is made.
 */
export class TermClaims {
  readonly #options: TermClaimsOptions;
  #last: Promise<unknown> = Promise.resolve();
  /** Code of what is waited for, once it was told. */
  #waiting: string | undefined;
  #highest: Term;

  constructor(options: TermClaimsOptions) {
    this.#options = options;
    this.#highest = term(options.highestSeen ?? 0);
  }

  /** The highest term that was seen so far; 0 for none. */
  get highest(): Term {
    return this.#highest;
  }

  /** The highest term, as soon as the arbiter answers. Throws as `claim` does. */
  async latest(signal: AbortSignal): Promise<TermRecord | null> {
    const look = {
      mode: 'solo',
      session: null,
      baseEpoch: epoch(0),
      mayFollow: () => false,
    } as const;
    const outcome = await this.claim(look, signal);
    return outcome.won ? null : outcome.latest;
  }

  /** A creation may still take effect: whoever depends on a term of this side is in doubt. */
  get undecided(): boolean {
    return this.#options.arbiter.undecided !== null;
  }

  /** The highest term, for people: waits for no claim and decides nothing. Throws as the arbiter. */
  async peek(): Promise<TermRecord | null> {
    return await this.#options.arbiter.latest();
  }

  /** Throws what `signal` was aborted with, `E_TERM_FILE`. */
  async claim(claim: Claim, signal: AbortSignal): Promise<ClaimOutcome> {
    const outcome = this.#last.then(() => this.#pursue(claim, signal));
    this.#last = outcome.catch(() => {});
    return await outcome;
  }

  async #pursue(claim: Claim, signal: AbortSignal): Promise<ClaimOutcome> {
    for (;;) {
      signal.throwIfAborted();
      try {
        const outcome = await this.#attempt(claim);
        this.#waiting = undefined;
        if (outcome !== undefined) return outcome;
      } catch (error) {
        if (!isWorthWaiting(error)) throw error;
        if (this.#waiting !== error.code) this.#options.onWaiting(error);
        this.#waiting = error.code;
        await sleep(this.#options.clock ?? monotonicClock, retryMs, signal);
      }
    }
  }

  /** Undefined: the highest term has changed meanwhile, so judge anew. */
  async #attempt(claim: Claim): Promise<ClaimOutcome | undefined> {
    const { arbiter, guest, host, nonce = newNonce } = this.#options;
    // A creation that may still take effect comes first: it is the highest term, or will not be.
    if (arbiter.undecided !== null) {
      await this.#observe((await arbiter.create(arbiter.undecided)).record);
    }
    const latest = await arbiter.latest();
    await this.#observe(latest);
    if (!claim.mayFollow(latest)) return { won: false, latest };
    const { session, baseEpoch } = claim;
    const mode = typeof claim.mode === 'string' ? claim.mode : claim.mode(latest);
    const number = term((latest?.term ?? 0) + 1);
    const at = new Date().toISOString();
    const what = { guest, term: number, holder: host, mode, nonce: nonce() };
    const outcome = await arbiter.create({ ...what, session, baseEpoch, at });
    await this.#observe(outcome.record);
    return outcome.won ? { won: true, term: number, mode } : undefined;
  }

  async #observe(latest: TermRecord | null): Promise<void> {
    await this.#options.memory.observe(latest);
    if (latest !== null && latest.term > this.#highest) this.#highest = latest.term;
  }
}

/**
 * No answer decides nothing; an old answer may come from a leader that is none any more. What is
 * wrong with the record, its stream or our rights to it is an operator's to mend: nothing is
 * created meanwhile, what is held stays held, and the guest's agent is there when it is mended.
 */
const worthWaiting = [
  'E_ARBITER_AWAY',
  'E_TERM_BACKWARDS',
  'E_ARBITER_STREAM',
  'E_TERM_RECORD',
  'E_NATS_PERMISSION',
];

const isWorthWaiting = (error: unknown): error is UnderstudyError =>
  isUnderstudyError(error) && worthWaiting.includes(error.code);
