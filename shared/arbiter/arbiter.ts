import type { TermRecord } from './term-record.ts';

/**
 * Who may run one guest. The record is a sequence of terms; each is created once and never
 * changed, and who created the highest is right. No clock decides anything here.
 */
export interface Arbiter {
  /**
   * The highest term, or null where there is none yet. A read is a lower bound: a server of a
   * cluster that was its leader, is cut off and does not know it yet answers what it knows. Only
   * a creation is exclusive. Throws `E_ARBITER_AWAY`, `E_ARBITER_STREAM`, `E_TERM_RECORD`.
   */
  latest(): Promise<TermRecord | null>;

  /**
   * Tries to be the one who creates `record.term`, which must be at most one above the highest
   * term seen here. Throws what `latest` throws.
   *
   * After `E_ARBITER_AWAY` nothing is decided: a creation that was sent may take effect at any
   * later time. It has neither been won nor lost until this creation, repeated with the same
   * record (which does no harm: it is the same nonce), or `latest` shows a term that is as high.
   * Until then `undecided` is that record, and creating anything else is a broken invariant.
   */
  create(record: TermRecord): Promise<TermOutcome>;

  /** The record whose creation may still take effect; null where there is none. */
  readonly undecided: TermRecord | null;
}

export type TermOutcome =
  /** The term is the caller's, and was the highest when the arbiter said so. */
  | { readonly won: true; readonly record: TermRecord }
  /** Somebody else's term is there, or a higher one: `record` is the highest seen. */
  | { readonly won: false; readonly record: TermRecord };
