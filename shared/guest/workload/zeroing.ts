import { pageBytes } from '../../ids.ts';
import { fillPage } from './page-content.ts';
import type { Region, Workload } from './workload.ts';

/**
 * Takes pages into use and gives them back zeroed, as processes that come and go do under
 * `init_on_free`: half of the region is in use at any time.
 */
export class ZeroingWorkload implements Workload {
  /** Word 0: the page to be taken into use next, in the region; word 1: 1 if freeing is due. */
  readonly cursor = new Uint32Array(4);
  readonly #region: Region;

  constructor(region: Region) {
    this.#region = region;
  }

  populate(): void {
    for (let i = 0; i < this.#region.pageCount >>> 1; i++) this.#use(i);
    this.cursor[0] = this.#region.pageCount >>> 1;
  }

  step(): number {
    const { memory, firstPage, pageCount } = this.#region;
    const next = this.cursor[0]!;
    if (this.cursor[1] === 0) {
      this.cursor[1] = 1;
      return this.#use(next);
    }
    this.cursor[1] = 0;
    this.cursor[0] = (next + 1) % pageCount;
    const page = firstPage + ((next + pageCount - (pageCount >>> 1)) % pageCount);
    const offset = memory.offsetOf(page);
    memory.writeBytes(page).fill(0, offset, offset + pageBytes);
    return page;
  }

  #use(index: number): number {
    const { memory, firstPage, random } = this.#region;
    const page = firstPage + index;
    const kind = (random.u32() & 1) === 0 ? 'pointers' : 'text';
    const bytes = memory.writeBytes(page);
    fillPage(kind, random, bytes, memory.wordsOf(page), memory.offsetOf(page));
    return memory.read32(page, 0);
  }
}
