import { pageBytes } from '../ids.ts';
import type { GuestMemory } from '../memory/guest-memory.ts';
import type { DiskImage } from './disk-image.ts';

export const diskPageCount = (sizeBytes: number): number => Math.ceil(sizeBytes / pageBytes);

/** A disk as pages of 4 KiB, for the digests that RAM has too. The last one is filled with zeros. */
export class DiskPages implements GuestMemory {
  readonly pageCount: number;
  readonly #image: DiskImage;

  constructor(image: DiskImage) {
    this.#image = image;
    this.pageCount = diskPageCount(image.sizeBytes);
  }

  nextData(page: number): { readonly first: number; readonly end: number } | undefined {
    const [extent] = this.#extents(page, 1);
    if (extent === undefined || !extent.isHole) return this.#dataFrom(page, extent?.bytes ?? 0);
    const data = this.#image.nextData(page * pageBytes);
    if (data === undefined) return undefined;
    const first = Math.floor(data / pageBytes);
    return this.#dataFrom(first, this.#extents(first, 2).at(-1)?.bytes ?? pageBytes);
  }

  readRange(first: number, count: number, into: Uint8Array, offset: number): void {
    const start = first * pageBytes;
    const bytes = Math.min(count * pageBytes, this.#image.sizeBytes - start);
    this.#image.readNow(start, into.subarray(offset, offset + bytes));
    into.fill(0, offset + bytes, offset + count * pageBytes);
  }

  copyPages(pages: Uint32Array, count: number, into: Uint8Array, offset: number): void {
    for (let i = 0; i < count; i++) this.readRange(pages[i]!, 1, into, offset + i * pageBytes);
  }

  #extents(page: number, countMax: number) {
    const offset = page * pageBytes;
    return this.#image.extents(offset, this.#image.sizeBytes - offset, countMax);
  }

  #dataFrom(first: number, bytes: number): { first: number; end: number } {
    return { first, end: first + Math.max(1, Math.ceil(bytes / pageBytes)) };
  }
}
