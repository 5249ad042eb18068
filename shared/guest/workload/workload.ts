import type { Random } from '../../random.ts';
import type { SyntheticMemory } from '../synthetic-memory.ts';

/**
 * A program inside a synthetic guest that writes to its own region of RAM. Its whole state is
 * its region, its `Random` and its `cursor`: a guest that gets the three back goes on exactly
 * as it would have.
 */
export interface Workload {
  /** Four words; what they mean is the workload's affair. */
  readonly cursor: Uint32Array;
  /** Lays the region out. Called once when the guest boots, not when it is resumed. */
  populate(): void;
  /** One write (a record, a page, a line). Returns a word that depends on what was written. */
  step(): number;
}

/** What a workload is given: nobody else writes to `pageCount` pages from `firstPage`. */
export interface Region {
  readonly memory: SyntheticMemory;
  readonly firstPage: number;
  readonly pageCount: number;
  readonly random: Random;
}
