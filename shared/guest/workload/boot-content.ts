import type { Random } from '../../random.ts';
import type { SyntheticMemory } from '../synthetic-memory.ts';
import { fillPage, type PageKind } from './page-content.ts';

/** Share of a fresh Linux guest's pages that are zero (design: "about the kernels"). */
export const zeroShare = 0.54;

/**
 * Fills RAM like that of a freshly booted Linux guest, leaving out the pages that workloads own
 * (`owned` returns the end of the region that holds a page, or 0): runs of 1–32 pages of data
 * between runs of zeros, so that with the owned pages `zeroShare` of RAM is zero or a hole.
 * One page in twenty of the zeros was written once; one data page in eight is a copy of an
 * earlier one (a file in the page cache and in a process).
 */
export function fillBootContent(
  memory: SyntheticMemory,
  random: Random,
  owned: (page: number) => number,
): void {
  let ownedPages = 0;
  for (let page = 0; page < memory.pageCount; page++) ownedPages += owned(page) > 0 ? 1 : 0;
  const freePages = memory.pageCount - ownedPages;
  const dataPages = Math.max(0, memory.pageCount * (1 - zeroShare) - ownedPages);
  const dataShare = freePages === 0 ? 0 : dataPages / freePages;
  let source = -1;
  for (let page = 0; page < memory.pageCount; ) {
    const regionEnd = owned(page);
    if (regionEnd > 0) {
      page = regionEnd;
      continue;
    }
    const isData = random.unit() < dataShare;
    const kind = drawKind(random);
    const runEnd = Math.min(memory.pageCount, page + 1 + random.below(32));
    for (; page < runEnd && owned(page) === 0; page++) {
      const draw = random.u32();
      if (!isData) {
        if (draw % 20 === 0) memory.writeBytes(page);
      } else if (source >= 0 && (draw & 7) === 0) {
        copyPage(memory, source, page);
      } else {
        const bytes = memory.writeBytes(page);
        fillPage(kind, random, bytes, memory.wordsOf(page), memory.offsetOf(page));
        if ((draw & 31) === 1) source = page;
      }
    }
  }
}

function copyPage(memory: SyntheticMemory, from: number, to: number): void {
  const into = memory.writeBytes(to);
  memory.readRange(from, 1, into, memory.offsetOf(to));
}

/** Of a fresh guest's data: file text, programs, kernel structures, tables, compressed data. */
function drawKind(random: Random): PageKind {
  const draw = random.below(100);
  if (draw < 25) return 'text';
  if (draw < 55) return 'code';
  if (draw < 85) return 'pointers';
  if (draw < 95) return 'sparse';
  return 'random';
}
