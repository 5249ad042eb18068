import type { SessionId, Term } from '../shared/ids.ts';
import type { PrimaryEvent } from './machine.ts';
import { describe, type TermHolder, type TermWish } from './term-holder.ts';

export interface TermPursuitParts {
  readonly terms: TermHolder;
  /** The agent has ended: nothing is of interest any more. */
  readonly ended: AbortSignal;
  post(event: PrimaryEvent): void;
  /** Called before the event: what is said from now on is of this term. */
  onProtected(session: SessionId, term: Term): void;
  onBug(error: unknown): void;
}

/** What becomes of the primary's claims, and of its looks at the record, as events. */
export class TermPursuit {
  readonly #parts: TermPursuitParts;

  constructor(parts: TermPursuitParts) {
    this.#parts = parts;
  }

  /** Pursues a claim until it is decided. */
  claim(wish: TermWish): void {
    const { terms, ended, post, onProtected, onBug } = this.#parts;
    terms.claim(wish, ended).then(
      (outcome) => {
        if (!outcome.won) post({ kind: 'superseded', by: describe(outcome.latest) });
        else if (wish.mode !== 'protected') {
          post({ kind: 'term-won', mode: outcome.mode === 'paused' ? 'paused' : 'solo' });
        } else {
          const { mode, session } = wish;
          onProtected(session, outcome.term);
          post({ kind: 'term-won', mode, session });
        }
      },
      (error: unknown) => {
        if (!ended.aborted) onBug(error);
      },
    );
  }

  /**
   * Whoever stood still may have been taken over: it looks before it is told. True where no other
   * host holds the highest term.
   */
  async lookForHigher(): Promise<boolean> {
    const { terms, ended, post, onBug } = this.#parts;
    try {
      const latest = await terms.latestOfOther(ended);
      if (latest !== null) post({ kind: 'superseded', by: describe(latest) });
      return latest === null;
    } catch (error) {
      if (!ended.aborted) onBug(error);
      return false;
    }
  }
}
