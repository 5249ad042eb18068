/** Guest RAM as its agent reads it: pages of 4 KiB, holes (never allocated) read as zeros. */
export interface GuestMemory {
  readonly pageCount: number;
  /**
   * Copies `count` pages named by `pages` to `into`, page `i` at `offset + i * 4096`. Meant for
   * pages that were written: reading a hole this way may allocate it.
   */
  copyPages(pages: Uint32Array, count: number, into: Uint8Array, offset: number): void;
  /** Copies the neighbouring pages `first` … `first + count - 1`; leaves holes unallocated. */
  readRange(first: number, count: number, into: Uint8Array, offset: number): void;
  /** The first page not below `page` that is allocated, and where that run of pages ends. */
  nextData(page: number): { readonly first: number; readonly end: number } | undefined;
}

/** RAM as the backup writes it. Only the owner of the backup's state calls these. */
export interface WritableMemory extends GuestMemory {
  writePages(pages: Uint32Array, count: number, from: Uint8Array, offset: number): void;
}
