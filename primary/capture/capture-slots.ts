import type { GuestMemory } from '../../shared/memory/guest-memory.ts';
import type { PageSet } from '../../shared/page-set.ts';

/** Where captured pages of one shard go: slots of one page each, filled from 0. */
export interface CaptureShard {
  readonly captureBuffer: Uint8Array;
  readonly captureCapacityPages: number;
  /** Page number of each slot. */
  readonly capturePages: Uint32Array;
}

/** The slots of all shards. */
export interface CaptureBuffer {
  readonly shards: readonly CaptureShard[];
  /** Which shard takes the page. */
  shardOf(page: number): number;
}

/**
 * The pages that wait in the capture buffer to be encoded. A page that is captured again before
 * that is copied over what its slot held, so a page is in the buffer at most once, as it was last.
 *
 * Invariant: for each slot of a shard below its count, `slotOfPage[capturePages[slot]] === slot`.
 */
export class CaptureSlots {
  readonly capacityPages: number;
  /** Slots 0 … counts[shard] − 1 of a shard are in use. */
  readonly counts: Uint32Array;
  readonly #memory: GuestMemory;
  readonly #buffer: CaptureBuffer;
  /** In its shard. Means something only where the slot is in use and names the page. */
  readonly #slotOfPage: Uint32Array;
  readonly #list: Uint32Array;
  #count = 0;

  constructor(memory: GuestMemory, buffer: CaptureBuffer) {
    const capacities = buffer.shards.map((shard) => shard.captureCapacityPages);
    this.capacityPages = capacities.reduce((sum, pages) => sum + pages, 0);
    this.counts = new Uint32Array(capacities.length);
    this.#memory = memory;
    this.#buffer = buffer;
    this.#slotOfPage = new Uint32Array(memory.pageCount);
    this.#list = new Uint32Array(Math.min(this.capacityPages, memory.pageCount));
  }

  /** Slots in use, of all shards. */
  get count(): number {
    return this.#count;
  }

  /** So many pages more fit whatever their shards, if they are spread evenly. */
  get roomPages(): number {
    const { shards } = this.#buffer;
    const least = shards.reduce(
      (rest, { captureCapacityPages }, i) => Math.min(rest, captureCapacityPages - this.counts[i]!),
      Number.POSITIVE_INFINITY,
    );
    return least * shards.length;
  }

  /** The buffer was encoded: its slots are free. */
  clear(): void {
    this.#count = 0;
    this.counts.fill(0);
  }

  /**
   * Copies `pages` out of RAM, as many as they are: `drain` is called where a shard is full, must
   * encode all that is in the buffer, and finds it empty afterwards.
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
        this.clear();
      }
      if (count < this.#list.length) return;
    }
  }

  /** Copies pages `first` to `end - 1` as far as there is room: returns the first one left. */
  captureRange(first: number, end: number): number {
    const count = Math.min(end - first, this.#list.length);
    for (let i = 0; i < count; i++) this.#list[i] = first + i;
    return first + this.#copy(this.#list.subarray(0, count));
  }

  /** Copies pages until a shard is full; returns how many. Neighbours are copied together. */
  #copy(pages: Uint32Array): number {
    let runFirst = 0;
    let runSlot = 0;
    let runShard = 0;
    for (let i = 0; i < pages.length; i++) {
      const shard = this.#buffer.shardOf(pages[i]!);
      const slot = this.#slotFor(pages[i]!, shard);
      if (slot === undefined) {
        this.#copyRun(pages, runFirst, i, runSlot, runShard);
        return i;
      }
      if (i > 0 && shard === runShard && slot === runSlot + i - runFirst) continue;
      this.#copyRun(pages, runFirst, i, runSlot, runShard);
      runFirst = i;
      runSlot = slot;
      runShard = shard;
    }
    this.#copyRun(pages, runFirst, pages.length, runSlot, runShard);
    return pages.length;
  }

  #copyRun(pages: Uint32Array, first: number, end: number, slot: number, shard: number): void {
    if (end === first) return;
    const { captureBuffer } = this.#buffer.shards[shard]!;
    this.#memory.copyPages(pages.subarray(first, end), end - first, captureBuffer, slot * 4096);
  }

  #slotFor(page: number, shard: number): number | undefined {
    const { capturePages, captureCapacityPages } = this.#buffer.shards[shard]!;
    const known = this.#slotOfPage[page]!;
    const count = this.counts[shard]!;
    if (known < count && capturePages[known] === page) return known;
    if (count === captureCapacityPages) return undefined;
    this.counts[shard] = count + 1;
    this.#count += 1;
    capturePages[count] = page;
    this.#slotOfPage[page] = count;
    return count;
  }
}
