import { fillPage } from './page-content.ts';
import type { Region, Workload } from './workload.ts';

/** Writes whole pages one after the other: a copy, a stream, a garbage collector. */
export class SequentialWorkload implements Workload {
  /** Word 0: the page of the region to be written next. */
  readonly cursor = new Uint32Array(4);
  readonly #region: Region;

  constructor(region: Region) {
    this.#region = region;
  }

  populate(): void {
    for (let i = 0; i < this.#region.pageCount; i++) this.step();
  }

  step(): number {
    const { memory, firstPage, pageCount, random } = this.#region;
    const next = this.cursor[0]!;
    const page = firstPage + next;
    this.cursor[0] = (next + 1) % pageCount;
    const bytes = memory.writeBytes(page);
    const kind = (random.u32() & 3) === 0 ? 'text' : 'pointers';
    fillPage(kind, random, bytes, memory.wordsOf(page), memory.offsetOf(page));
    return memory.read32(page, 0);
  }
}
