import { fillPage } from './page-content.ts';
import type { Region, Workload } from './workload.ts';

/** Writes eight bytes at a place drawn evenly: the worst case for page granularity. */
export class RandomWorkload implements Workload {
  readonly cursor = new Uint32Array(4);
  readonly #region: Region;

  constructor(region: Region) {
    this.#region = region;
  }

  populate(): void {
    const { memory, firstPage, pageCount, random } = this.#region;
    for (let page = firstPage; page < firstPage + pageCount; page++) {
      const bytes = memory.writeBytes(page);
      fillPage('pointers', random, bytes, memory.wordsOf(page), memory.offsetOf(page));
    }
  }

  step(): number {
    const { memory, firstPage, pageCount, random } = this.#region;
    const page = firstPage + random.below(pageCount);
    const offset = random.below(512) * 8;
    const low = random.u32();
    memory.write32(page, offset, low);
    memory.write32(page, offset + 4, 0x7f3a);
    return low ^ page;
  }
}
