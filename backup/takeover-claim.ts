import type { TermClaims } from '../shared/arbiter/term-claims.ts';
import type { TermRecord } from '../shared/arbiter/term-record.ts';
import { UnderstudyError } from '../shared/errors.ts';
import { epoch, type Term, term } from '../shared/ids.ts';
import type { EmitEvent } from '../shared/observe/events.ts';
import type { LoggedMark } from './input/logged-mark.ts';
import type { BackupEvent } from './machine.ts';
import type { Checkpoint } from './store/replica-state.ts';
import type { ReplicaStore } from './store/replica-store.ts';

export interface TakeoverClaimParts {
  readonly claims: TermClaims;
  readonly store: ReplicaStore;
  /** As terms call this host. */
  readonly host: string;
  readonly emit: EmitEvent;
  /** Where input is logged. */
  readonly loggedMark?: LoggedMark;
  readonly settings: { readonly speaksAlone: boolean };
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
    // A claim of an earlier process may have taken effect only now.
    const own = outcome.won ? undefined : this.#own(outcome.latest);
    if (outcome.won) this.#term = outcome.term;
    else if (own !== undefined && isAbout(own, held)) this.#term = own.term;
    else return { kind: 'claim-lost', holder: outcome.latest?.holder ?? 'nobody' };
    emit({ kind: 'term', term: this.#term, mode });
    return { kind: 'claim-won' };
  }

  /**
   * What the record says to a process that has just started; undefined: nothing but to wait for a
   * primary. Throws as `TermClaims.claim`.
   */
  async recall(signal: AbortSignal): Promise<BackupEvent | undefined> {
    const { claims, store } = this.#parts;
    const latest = await claims.latest(signal);
    const held = store.holds();
    const logged = held !== null && this.#parts.loggedMark?.has(held.session) === true;
    const own = this.#own(latest);
    if (own !== undefined) {
      if (!isAbout(own, held)) return this.#warn(takeoverLost(own, goneWithGuest));
      if (logged) return this.#warn(takeoverLost(own, goneWithLog));
      this.#term = own.term;
      return { kind: 'term-held', session: held.session };
    }
    if (held === null || latest?.mode !== 'protected' || latest.session !== held.session) {
      return undefined;
    }
    if (logged) return this.#warn(uncovered(goneWithLog));
    if (this.#parts.settings.speaksAlone) return this.#warn(uncovered(saidAlone));
    return { kind: 'epoch-found', session: held.session };
  }

  /** Where it is the term of a takeover by this host. */
  #own(latest: TermRecord | null): TermRecord | undefined {
    const { host } = this.#parts;
    if (latest?.mode !== 'solo' || latest.holder !== host) return undefined;
    return latest.baseEpoch > 0 ? latest : undefined;
  }

  #warn({ code, message, hint }: UnderstudyError): undefined {
    this.#parts.emit({ kind: 'warning', code, message, hint });
  }
}

/** The epoch of that takeover is here as it was, and no guest may have run from it. */
function isAbout({ session, baseEpoch }: TermRecord, held: Checkpoint | null): held is Checkpoint {
  return held !== null && held.session === session && held.epoch === baseEpoch;
}

const goneWithGuest = 'the guest may have run since, or its memory is gone';
const goneWithLog = 'the log of input that it was to be told again ended with the agent';
const saidAlone = 'cards of kind user speak also while no agent runs beside the guest';

function takeoverLost({ term: number, baseEpoch }: TermRecord, why: string): UnderstudyError {
  const message =
    `this host won term ${number} to go on with the guest from epoch ${baseEpoch}, ` +
    `and can't any more: ${why}`;
  return new UnderstudyError('E_TAKEOVER_LOST', message, {
    hint: 'Nobody starts the guest by itself: see "Both hosts lost at once" in OPERATIONS.md.',
    fields: { term: number, baseEpoch, why },
  });
}

/** By a takeover clients would lose more than the unacknowledged: it waits for the primary. */
function uncovered(why: string): UnderstudyError {
  const message = `this agent was restarted, and the epoch that it finds does not cover all: ${why}`;
  return new UnderstudyError('E_EPOCH_UNCOVERED', message, {
    hint: 'Nobody takes over until the primary has brought this side level, which it does by itself.',
    fields: { why },
  });
}
