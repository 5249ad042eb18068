import type { TermRecord } from './term-record.ts';

/** One question and one answer each: what an arbiter is made of. `SettlingArbiter` asks. */
export interface TermStore {
  /**
   * The record of this guest stored last, as the stream's leader has it. Throws
   * `E_ARBITER_AWAY`, `E_ARBITER_STREAM`, `E_TERM_RECORD`.
   */
  last(): Promise<TermRecord | null>;
  /**
   * Stores the record where its term has none. `E_ARBITER_AWAY` leaves open whether it is, or
   * will be, stored.
   */
  put(record: TermRecord): Promise<PutAnswer>;
}

export type PutAnswer =
  | { readonly stored: true }
  /** Not by this call; an earlier one with the same record may have been the one. */
  | { readonly stored: false; readonly why: string };
