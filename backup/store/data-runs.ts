import type { GuestMemory } from '../../shared/memory/guest-memory.ts';

/**
 * Memory for one pass over it, slice by slice, that asks only once where a run of data begins and
 * ends: the kernel looks at every page of a run to answer (60 ns each on Linux 6.18), so asking
 * for each slice would take time quadratic in the size of RAM. What was written since into a hole
 * is taken for zeros: a pass beside writes must look again, without this, where that matters.
 */
export class DataRuns implements GuestMemory {
  readonly #memory: GuestMemory;
  /** The last answer holds for pages from `#askedFrom` up to its end. */
  #askedFrom = 0;
  #first = 0;
  #end = 0;

  constructor(memory: GuestMemory) {
    this.#memory = memory;
  }

  get pageCount(): number {
    return this.#memory.pageCount;
  }

  nextData(page: number): { readonly first: number; readonly end: number } | undefined {
    if (page < this.#askedFrom || page >= this.#end) {
      const run = this.#memory.nextData(page);
      this.#askedFrom = page;
      this.#first = run?.first ?? Number.POSITIVE_INFINITY;
      this.#end = run?.end ?? Number.POSITIVE_INFINITY;
    }
    if (this.#first === Number.POSITIVE_INFINITY) return undefined;
    return { first: Math.max(page, this.#first), end: this.#end };
  }

  readRange(first: number, count: number, into: Uint8Array, offset: number): void {
    this.#memory.readRange(first, count, into, offset);
  }

  copyPages(pages: Uint32Array, count: number, into: Uint8Array, offset: number): void {
    this.#memory.copyPages(pages, count, into, offset);
  }
}
