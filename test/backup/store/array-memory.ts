import { pageBytes } from '../../../shared/ids.ts';
import type { WritableMemory } from '../../../shared/memory/guest-memory.ts';
import { PageSet } from '../../../shared/page-set.ts';

/** RAM as an array, with holes: a page that was never written takes no room. */
export class ArrayMemory implements WritableMemory {
  readonly bytes: Uint8Array;
  readonly written: PageSet;
  /** Pages that may still be allocated before a write fails as on a full tmpfs. */
  roomPages = Number.POSITIVE_INFINITY;
  /** Called before each page is written. */
  beforeWrite: (page: number) => void = () => {};

  constructor(pageCount: number) {
    this.bytes = new Uint8Array(pageCount * pageBytes);
    this.written = new PageSet(pageCount);
  }

  get pageCount(): number {
    return this.written.pageCount;
  }

  copyPages(pages: Uint32Array, count: number, into: Uint8Array, offset: number): void {
    for (let i = 0; i < count; i++) this.readRange(pages[i]!, 1, into, offset + i * pageBytes);
  }

  readRange(first: number, count: number, into: Uint8Array, offset: number): void {
    if (first + count > this.pageCount) throw new RangeError('outside RAM');
    into.set(this.bytes.subarray(first * pageBytes, (first + count) * pageBytes), offset);
  }

  nextData(page: number): { readonly first: number; readonly end: number } | undefined {
    let first = page;
    while (first < this.pageCount && !this.written.has(first)) first += 1;
    if (first >= this.pageCount) return undefined;
    let end = first;
    while (end < this.pageCount && this.written.has(end)) end += 1;
    return { first, end };
  }

  writePages(pages: Uint32Array, count: number, from: Uint8Array, offset: number): void {
    for (let i = 0; i < count; i++) {
      const page = pages[i]!;
      this.beforeWrite(page);
      if (!this.written.has(page)) {
        if (this.roomPages === 0) throw Object.assign(new Error('full'), { code: 'ENOSPC' });
        this.roomPages -= 1;
        this.written.add(page);
      }
      const at = offset + i * pageBytes;
      this.bytes.set(from.subarray(at, at + pageBytes), page * pageBytes);
    }
  }
}
