import type { GuestMemory } from '../../shared/memory/guest-memory.ts';
import { DataRuns } from './data-runs.ts';
import type { DigestTable } from './digest-table.ts';
import { pagesPerTurn, Turns } from './turns.ts';

export interface RamVerdict {
  /** Pages looked at: all of RAM, or as far as the pass came. */
  readonly pages: number;
  /** False where the pass was ended because the table was replaced or RAM given away. */
  readonly complete: boolean;
  readonly firstDifferingPage: number | null;
  /** Pages whose RAM is not what the table says. */
  readonly differingPages: number;
}

/**
 * Compares each page of RAM with the table. Pages may be written between slices: table and RAM
 * move together. An entry that RAM contradicts is corrected, so that comparing digests with the
 * primary shows the page. `goesOn` is asked before each slice.
 */
export async function checkRam(
  memory: GuestMemory,
  table: DigestTable,
  goesOn: () => boolean,
): Promise<RamVerdict> {
  const runs = new DataRuns(memory);
  const turns = new Turns();
  let firstDifferingPage: number | null = null;
  let differingPages = 0;
  for (let first = 0; first < memory.pageCount; first += pagesPerTurn) {
    if (!goesOn()) return { pages: first, complete: false, firstDifferingPage, differingPages };
    const count = Math.min(pagesPerTurn, memory.pageCount - first);
    const differing = table.check(memory, runs, first, count);
    if (differing.length > 0) firstDifferingPage ??= differing[0]!;
    differingPages += differing.length;
    await turns.after(count);
  }
  return { pages: memory.pageCount, complete: true, firstDifferingPage, differingPages };
}
