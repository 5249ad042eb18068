import { pageBytes } from '../ids.ts';
import type { WritableMemory } from '../memory/guest-memory.ts';
import { PageSet } from '../page-set.ts';

/**
 * RAM of a synthetic guest, in this process: segments of 64 MiB that exist once something was
 * written to them, so that several GiB are possible and a hole costs nothing.
 *
 * Two ways in: what the guest does (`write…`) is recorded page by page, what the backup does
 * (`writePages`) is not. A write of the value that was there before counts as a write, as it
 * does for the MMU.
 */
export class SyntheticMemory implements WritableMemory {
  readonly pageCount: number;
  readonly #bytes: (Uint8Array | undefined)[];
  readonly #words: (Uint32Array | undefined)[];
  /** 1 where the page was ever written: the others are holes. */
  readonly #present: Uint8Array;
  readonly #written: PageSet;

  /** `memoryBytes` must be a positive multiple of 4096. */
  constructor(memoryBytes: number) {
    if (!(memoryBytes > 0) || memoryBytes % pageBytes !== 0) {
      throw new RangeError(`${memoryBytes} bytes are not a whole number of pages`);
    }
    this.pageCount = memoryBytes / pageBytes;
    const segmentCount = Math.ceil(this.pageCount / segmentPages);
    this.#bytes = new Array(segmentCount).fill(undefined);
    this.#words = new Array(segmentCount).fill(undefined);
    this.#present = new Uint8Array(this.pageCount);
    this.#written = new PageSet(this.pageCount);
  }

  /** Pages that were ever written. */
  get presentCount(): number {
    let count = 0;
    for (const flag of this.#present) count += flag;
    return count;
  }

  /** Adds the pages that the guest wrote since the last call to `into`, and starts anew. */
  takeWritten(into: PageSet): void {
    into.addAll(this.#written);
    this.#written.clear();
  }

  /** The segment of `page` as bytes, for a write of the guest; see `offsetOf`. Records it. */
  writeBytes(page: number): Uint8Array {
    this.#written.add(page);
    this.#present[page] = 1;
    return this.#bytes[page >>> segmentShift] ?? this.#allocate(page);
  }

  /** Writes one little-endian word at `offset`, a multiple of 4, in `page`. Records it. */
  write32(page: number, offset: number, value: number): void {
    this.#written.add(page);
    this.#present[page] = 1;
    if (this.#words[page >>> segmentShift] === undefined) this.#allocate(page);
    this.#words[page >>> segmentShift]![((page & segmentMask) << 10) + (offset >>> 2)] = value;
  }

  read32(page: number, offset: number): number {
    const words = this.#words[page >>> segmentShift];
    return words === undefined ? 0 : words[((page & segmentMask) << 10) + (offset >>> 2)]!;
  }

  /** The segment of `page` as 32-bit words, after `writeBytes`; the page is at `offsetOf / 4`. */
  wordsOf(page: number): Uint32Array {
    const words = this.#words[page >>> segmentShift];
    if (words === undefined) throw new Error(`page ${page} is in a segment that is a hole`);
    return words;
  }

  /** Where `page` starts in its segment, in bytes. */
  offsetOf(page: number): number {
    return (page & segmentMask) * pageBytes;
  }

  /** Zeroes every page that is not a hole; each counts as written. */
  zeroAll(): void {
    for (let page = this.#present.indexOf(1); page >= 0; ) {
      const offset = this.offsetOf(page);
      this.writeBytes(page).fill(0, offset, offset + pageBytes);
      page = this.#present.indexOf(1, page + 1);
    }
  }

  copyPages(pages: Uint32Array, count: number, into: Uint8Array, offset: number): void {
    for (let i = 0; i < count; i++) this.readRange(pages[i]!, 1, into, offset + i * pageBytes);
  }

  readRange(first: number, count: number, into: Uint8Array, offset: number): void {
    this.#check(first, count);
    for (let done = 0; done < count; ) {
      const page = first + done;
      const run = Math.min(count - done, segmentPages - (page & segmentMask));
      const bytes = this.#bytes[page >>> segmentShift];
      const from = this.offsetOf(page);
      const to = offset + done * pageBytes;
      if (bytes === undefined) into.fill(0, to, to + run * pageBytes);
      else into.set(bytes.subarray(from, from + run * pageBytes), to);
      done += run;
    }
  }

  nextData(page: number): { first: number; end: number } | undefined {
    if (page >= this.pageCount) return undefined;
    const first = this.#present.indexOf(1, page);
    if (first < 0) return undefined;
    const end = this.#present.indexOf(0, first);
    return { first, end: end < 0 ? this.pageCount : end };
  }

  writePages(pages: Uint32Array, count: number, from: Uint8Array, offset: number): void {
    for (let i = 0; i < count; i++) {
      const page = pages[i]!;
      this.#check(page, 1);
      const at = offset + i * pageBytes;
      this.#present[page] = 1;
      const bytes = this.#bytes[page >>> segmentShift] ?? this.#allocate(page);
      bytes.set(from.subarray(at, at + pageBytes), this.offsetOf(page));
    }
  }

  #allocate(page: number): Uint8Array {
    const segment = page >>> segmentShift;
    const pages = Math.min(segmentPages, this.pageCount - segment * segmentPages);
    // The system gives zeroed pages one by one as they are touched: a hole stays cheap.
    const bytes = new Uint8Array(pages * pageBytes);
    this.#bytes[segment] = bytes;
    this.#words[segment] = new Uint32Array(bytes.buffer);
    return bytes;
  }

  #check(first: number, count: number): void {
    if (first < 0 || count < 0 || first + count > this.pageCount) {
      throw new RangeError(`pages ${first} … ${first + count - 1} are outside RAM`);
    }
  }
}

const segmentShift = 14;
const segmentPages = 1 << segmentShift;
const segmentMask = segmentPages - 1;
