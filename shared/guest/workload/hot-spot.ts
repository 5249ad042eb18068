import { fillPage } from './page-content.ts';
import type { Region, Workload } from './workload.ts';
import { Zipf } from './zipf.ts';

/** Writes a piece of a structure in a page drawn by Zipf's law: few pages take most writes. */
export class HotSpotWorkload implements Workload {
  /** Word 0: a counter that goes into what is written, as reference counts and times do. */
  readonly cursor = new Uint32Array(4);
  readonly #region: Region;
  readonly #zipf: Zipf;

  constructor(region: Region) {
    this.#region = region;
    this.#zipf = new Zipf(region.pageCount);
  }

  populate(): void {
    const { memory, firstPage, pageCount, random } = this.#region;
    for (let page = firstPage; page < firstPage + pageCount; page++) {
      const kind = (random.u32() & 7) === 0 ? 'sparse' : 'pointers';
      const bytes = memory.writeBytes(page);
      fillPage(kind, random, bytes, memory.wordsOf(page), memory.offsetOf(page));
    }
  }

  step(): number {
    const { memory, firstPage, random } = this.#region;
    const page = firstPage + this.#zipf.drawScattered(random);
    const draw = random.u32();
    const counter = (this.cursor[0]! + 1) >>> 0;
    this.cursor[0] = counter;
    const structure = (draw & 63) * 64;
    const words = 1 + ((draw >>> 6) & 7);
    memory.write32(page, structure, counter);
    for (let i = 1; i < words; i++) {
      memory.write32(page, structure + i * 8, (draw >>> 9) + i * 64);
    }
    return draw ^ page;
  }
}
