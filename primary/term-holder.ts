import type { ClaimOutcome, TermClaims } from '../shared/arbiter/term-claims.ts';
import type { TermMode, TermRecord } from '../shared/arbiter/term-record.ts';
import type { AlarmClock } from '../shared/clock.ts';
import { UnderstudyError } from '../shared/errors.ts';
import type { FoundGuest } from '../shared/guest/guest.ts';
import {
  type Epoch,
  epoch,
  type GuestName,
  type SessionId,
  type Term,
  term,
} from '../shared/ids.ts';
import type { EmitEvent } from '../shared/observe/events.ts';

export interface TermHolderParts {
  readonly claims: TermClaims;
  /** As terms call this host. */
  readonly host: string;
  readonly guest: GuestName;
  readonly emit: EmitEvent;
  readonly clock: AlarmClock;
  /** A `new` guest is not the one that a backup may hold an epoch of. */
  readonly found: FoundGuest;
}

export type TermWish =
  /** `keepsPause`: paused, where the record says that an operator has paused. */
  | { readonly mode: 'solo'; readonly keepsPause: boolean }
  | { readonly mode: 'paused' }
  | { readonly mode: 'protected'; readonly session: SessionId; readonly baseEpoch: Epoch };

const leaveTimeoutMs = 3000;

/** The primary's hold on the record of terms: which one is its own, and the way to the next. */
export class TermHolder {
  readonly #parts: TermHolderParts;
  #fresh: boolean;
  #term: Term = term(0);
  #mode: TermMode | undefined;

  constructor(parts: TermHolderParts) {
    this.#parts = parts;
    this.#fresh = parts.found === 'new';
  }

  /** The highest term of our own; 0 before there is one. */
  get term(): Term {
    return this.#term;
  }

  /** Tries to create the next term until that is decided. Throws as `TermClaims.claim`. */
  async claim(wish: TermWish, signal: AbortSignal): Promise<ClaimOutcome> {
    const { claims, host, emit } = this.#parts;
    const mayFollow = (latest: TermRecord | null): boolean =>
      latest === null || (latest.holder === host && !(this.#fresh && latest.mode === 'protected'));
    const about = wish.mode === 'protected' ? wish : { session: null, baseEpoch: epoch(0) };
    const { session, baseEpoch } = about;
    const mode = (latest: TermRecord | null): TermMode =>
      wish.mode === 'solo' && wish.keepsPause && latest?.mode === 'paused' ? 'paused' : wish.mode;
    const outcome = await claims.claim({ mode, session, baseEpoch, mayFollow }, signal);
    if (outcome.won) {
      this.#term = outcome.term;
      this.#mode = outcome.mode;
      emit({ kind: 'term', term: outcome.term, mode: outcome.mode });
    }
    return outcome;
  }

  /** The highest term if another host holds it, else null. Throws as `TermClaims.claim`. */
  async latestOfOther(signal: AbortSignal): Promise<TermRecord | null> {
    const latest = await this.#parts.claims.latest(signal);
    return latest === null || latest.holder === this.#parts.host ? null : latest;
  }

  /** The guest runs by our term: from now on a backup may hold an epoch of it. */
  guestRuns(): void {
    this.#fresh = false;
  }

  /**
   * A guest that is left alone must not be taken over, also if nobody hears that this side stands
   * down: the record says so. True if this side holds the highest term. Throws `E_LEFT_PROTECTED`
   * where the arbiter is away.
   */
  async leaveProtection(): Promise<boolean> {
    if (this.#mode !== 'protected') return this.#mode !== undefined;
    const { guest, clock } = this.#parts;
    const patience = new AbortController();
    const late = new Error(`no answer within ${leaveTimeoutMs} ms`);
    const callOff = clock.after(leaveTimeoutMs, () => patience.abort(late));
    try {
      return (await this.claim({ mode: 'solo', keepsPause: false }, patience.signal)).won;
    } catch (cause) {
      throw new UnderstudyError('E_LEFT_PROTECTED', `${guest} was left in a protected term`, {
        hint: 'Its backup may take it over if it does not hear of this: stop it, or the guest.',
        cause,
      });
    } finally {
      callOff();
    }
  }
}

/** Why `host`, where no guest runs, may not start one; undefined: it may. */
export function whoForbidsStart(latest: TermRecord | null, host: string): string | undefined {
  if (latest === null) return undefined;
  const { term: number, mode, holder, baseEpoch } = latest;
  // A term that goes on from an epoch was won for a takeover. Nothing came after it, so the guest may
  // never have run: one that starts anew would wipe what was to be resumed.
  if (holder === host && mode !== 'protected' && baseEpoch === 0) return undefined;
  const who = holder === host ? 'this host, whose guest is gone' : `host ${holder}`;
  return `term ${number} (${mode}) is held by ${who}`;
}

/** Who holds a term, for messages. */
export function describe(latest: TermRecord | null): string {
  if (latest === null) return 'there is no term to follow';
  const { term: number, mode, holder } = latest;
  return `term ${number} (${mode}) is held by host ${holder}`;
}
