import type { GuestMemory } from '../../shared/memory/guest-memory.ts';
import type { PageSet } from '../../shared/page-set.ts';

/** Where captured pages go: slots of one page each, filled from 0. */
export interface CaptureBuffer {
  readonly captureBuffer: Uint8Array;
  readonly captureCapacityPages: number;
  /** Page number of each slot. */
  readonly capturePages: Uint32Array;
}

/**
 * The pages that wait in the capture buffer to be encoded. A page that is captured again before
 * that is copied over what its slot held, so a page is in the buffer at most once, as it was last.
 *
 * Invariant: for each slot below `count`, `slotOfPage[capturePages[slot]] === slot`.
 */
export class CaptureSlots {
  readonly capacityPages: number;
  readonly #memory: GuestMemory;
  readonly #buffer: CaptureBuffer;
  /** Means something only where the slot is below `count` and names the page. */
  readonly #slotOfPage: Uint32Array;
  readonly #list: Uint32Array;
  #count = 0;

  constructor(memory: GuestMemory, buffer: CaptureBuffer) {
    this.capacityPages = buffer.captureCapacityPages;
    this.#memory = memory;
    this.#buffer = buffer;
    this.#slotOfPage = new Uint32Array(memory.pageCount);
    this.#list = new Uint32Array(Math.min(buffer.captureCapacityPages, memory.pageCount));
  }

  /** Slots 0 … count − 1 are in use. */
  get count(): number {
    return this.#count;
  }

  /** The buffer was encoded: its slots are free. */
  clear(): void {
    this.#count = 0;
  }

  /**
   * Copies `pages` out of RAM, as many as they are: `drain` is called with a full buffer, must
   * encode it, and finds it empty afterwards.
   */
  async capture(pages: PageSet, drain: (count: number) => Promise<void>): Promise<void> {
    for (let from = 0; ; ) {
      const count = pages.take(from, this.#list);
      if (count === 0) return;
      from = this.#list[count - 1]! + 1;
      for (let done = 0; ; ) {
        done += this.#copy(this.#list.subarray(done, count));
        if (done === count) break;
        await drain(this.#count);
        this.#count = 0;
      }
      if (count < this.#list.length) return;
    }
  }

  /** Copies pages until the buffer is full; returns how many. Neighbours are copied together. */
  #copy(pages: Uint32Array): number {
    let runFirst = 0;
    let runSlot = 0;
    for (let i = 0; i < pages.length; i++) {
      const slot = this.#slotFor(pages[i]!);
      if (slot === undefined) {
        this.#copyRun(pages, runFirst, i, runSlot);
        return i;
      }
      if (i > 0 && slot === runSlot + i - runFirst) continue;
      this.#copyRun(pages, runFirst, i, runSlot);
      runFirst = i;
      runSlot = slot;
    }
    this.#copyRun(pages, runFirst, pages.length, runSlot);
    return pages.length;
  }

  #copyRun(pages: Uint32Array, first: number, end: number, slot: number): void {
    if (end === first) return;
    const { captureBuffer } = this.#buffer;
    this.#memory.copyPages(pages.subarray(first, end), end - first, captureBuffer, slot * 4096);
  }

  #slotFor(page: number): number | undefined {
    const { capturePages } = this.#buffer;
    const known = this.#slotOfPage[page]!;
    if (known < this.#count && capturePages[known] === page) return known;
    if (this.#count === this.capacityPages) return undefined;
    const slot = this.#count;
    this.#count += 1;
    capturePages[slot] = page;
    this.#slotOfPage[page] = slot;
    return slot;
  }
}
