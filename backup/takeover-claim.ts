import type { TermClaims } from '../shared/arbiter/term-claims.ts';
import type { TermRecord } from '../shared/arbiter/term-record.ts';
import { UnderstudyError } from '../shared/errors.ts';
import { epoch, type Term, term } from '../shared/ids.ts';
import type { EmitEvent } from '../shared/observe/events.ts';
import type { LoggedMark } from './input/logged-mark.ts';
import type { BackupEvent } from './machine.ts';
import type { ReplicaStore } from './store/replica-store.ts';

export interface TakeoverClaimParts {
  readonly claims: TermClaims;
  readonly store: ReplicaStore;
  /** As terms call this host. */
  readonly host: string;
  readonly emit: EmitEvent;
  /** Where input is logged. */
  readonly loggedMark?: LoggedMark;
}

/**
 * The backup's right to go on with the guest, as the record of terms has it. The term of a takeover
 * names the session and the epoch that it goes on from: a process that dies before the guest runs
 * leaves to the next one what it needs to know.
 */
export class TakeoverClaim {
  readonly #parts: TakeoverClaimParts;
  #term: Term = term(0);

  constructor(parts: TakeoverClaimParts) {
    this.#parts = parts;
  }

  /** The term of the takeover; 0 before one is won. */
  get term(): Term {
    return this.#term;
  }

  /** Tries to create the next term until that is decided. Throws as `TermClaims.claim`. */
  async claim(signal: AbortSignal): Promise<BackupEvent> {
    const { claims, store, emit } = this.#parts;
    const held = store.holds() ?? store.takenOver();
    // Only the epoch that the protected term is about covers what the guest has said.
    const mayFollow = (latest: TermRecord | null): boolean =>
      held !== null && latest?.mode === 'protected' && latest.session === held.session;
    const mode = 'solo';
    const about = { session: held?.session ?? null, baseEpoch: held?.epoch ?? epoch(0) };
    const outcome = await claims.claim({ mode, ...about, mayFollow }, signal);
    if (!outcome.won) return { kind: 'claim-lost', holder: outcome.latest?.holder ?? 'nobody' };
    this.#term = outcome.term;
    emit({ kind: 'term', term: outcome.term, mode });
    return { kind: 'claim-won' };
  }

  /**
   * What the record says to a process that has just started; undefined: nothing but to wait for a
   * primary. Throws as `TermClaims.claim`.
   */
  async recall(signal: AbortSignal): Promise<BackupEvent | undefined> {
    const { claims, store, host, emit } = this.#parts;
    const latest = await claims.latest(signal);
    if (latest?.mode !== 'solo' || latest.holder !== host || latest.baseEpoch === 0)
      return undefined;
    const why = this.#whyNotAgain(latest);
    if (why !== undefined) {
      const { code, message, hint } = takeoverLost(latest, why);
      emit({ kind: 'warning', code, message, hint });
      return undefined;
    }
    this.#term = latest.term;
    return { kind: 'term-held', session: store.holds()!.session };
  }

  /** Undefined: the epoch of that takeover is here as it was, and its guest never ran. */
  #whyNotAgain({ session, baseEpoch }: TermRecord): string | undefined {
    const { store, loggedMark } = this.#parts;
    const held = store.holds();
    if (held === null || held.session !== session || held.epoch !== baseEpoch) {
      return 'the guest may have run since, or its memory is gone';
    }
    if (loggedMark?.has(held.session) === true) {
      return 'the log of input that it was to be told again ended with the agent';
    }
    return undefined;
  }
}

function takeoverLost({ term: number, baseEpoch }: TermRecord, why: string): UnderstudyError {
  const message =
    `this host won term ${number} to go on with the guest from epoch ${baseEpoch}, ` +
    `and can't any more: ${why}`;
  return new UnderstudyError('E_TAKEOVER_LOST', message, {
    hint: 'Nobody starts the guest by itself: see "Both hosts lost at once" in OPERATIONS.md.',
    fields: { term: number, baseEpoch, why },
  });
}
