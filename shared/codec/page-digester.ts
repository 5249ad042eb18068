import { pageBytes } from '../ids.ts';
import type { GuestMemory } from '../memory/guest-memory.ts';
import { type Arena, createKernels, type HashSettings, type Kernels } from './kernels.ts';

/** Pages that are hashed in one call: 1 MiB, which stays in a core's own cache. */
const batchPages = 256;
/** Digests that are summed in one call. */
const foldPages = 8192;

/**
 * Page digests, as both sides compute them: a page's blocks are hashed, and the hashes hashed
 * (XXH3 with the session's secret). The digest of RAM is the sum over its pages of
 * mix(digest, page), modulo 2^64, so that of a region is the sum over the region, and both can be
 * kept up to date by differences. Page digests are 8 bytes each, little endian, side by side.
 */
export class PageDigester {
  /** Pages to be digested by `digestBuffer`. */
  readonly buffer: Uint8Array;
  readonly capacityPages = batchPages;
  readonly zeroPageDigest: bigint;
  readonly #kernels: Kernels;
  readonly #at: Regions;
  readonly #zeroDigest = new Uint8Array(8);

  private constructor(kernels: Kernels, regions: Regions) {
    this.#kernels = kernels;
    this.#at = regions;
    this.buffer = kernels.bytes(regions.images, batchPages * pageBytes);
    this.zeroPageDigest = BigInt.asUintN(64, kernels.run.zeroPageDigest());
    new DataView(this.#zeroDigest.buffer).setBigUint64(0, this.zeroPageDigest, true);
  }

  static async create(settings: HashSettings): Promise<PageDigester> {
    const { kernels, regions } = await createKernels(settings, planRegions);
    return new PageDigester(kernels, regions);
  }

  /** Digests of the first `count` pages of `buffer`; a view that the next call overwrites. */
  digestBuffer(count: number): Uint8Array {
    if (count > batchPages) throw new RangeError('more pages than the buffer holds');
    this.#kernels.run.digestImages(this.#at.images, count, this.#at.digests);
    return this.#kernels.bytes(this.#at.digests, count * 8);
  }

  /** Digests pages `first` … to `into` (8 bytes each). Holes are not read. */
  digestRange(memory: GuestMemory, first: number, count: number, into: Uint8Array): void {
    const end = first + count;
    let page = first;
    while (page < end) {
      const data = memory.nextData(page);
      const dataFirst = Math.min(end, data?.first ?? end);
      for (; page < dataFirst; page++) into.set(this.#zeroDigest, (page - first) * 8);
      const dataEnd = Math.min(end, data?.end ?? end);
      while (page < dataEnd) {
        const pages = Math.min(batchPages, dataEnd - page);
        memory.readRange(page, pages, this.buffer, 0);
        into.set(this.digestBuffer(pages), (page - first) * 8);
        page += pages;
      }
    }
  }

  /** Digests the pages that `pages` names to `into` (8 bytes each). Meant for written pages. */
  digestPages(memory: GuestMemory, pages: Uint32Array, count: number, into: Uint8Array): void {
    for (let from = 0; from < count; from += batchPages) {
      const part = Math.min(batchPages, count - from);
      memory.copyPages(pages.subarray(from, from + part), part, this.buffer, 0);
      into.set(this.digestBuffer(part), from * 8);
    }
  }

  /** The digest of a region: `table` holds the digests of pages `firstPage`, `firstPage + 1`, … */
  foldRange(table: Uint8Array, firstPage: number): bigint {
    const count = table.length / 8;
    let sum = 0n;
    for (let from = 0; from < count; from += foldPages) {
      const part = Math.min(foldPages, count - from);
      const digests = table.subarray(from * 8, (from + part) * 8);
      this.#kernels.bytes(this.#at.table, part * 8).set(digests);
      sum += this.#kernels.run.foldDigests(this.#at.table, firstPage + from, part);
    }
    return BigInt.asUintN(64, sum);
  }

  /** The digest of RAM from the digests of all its pages. */
  foldRoot(table: Uint8Array): bigint {
    return this.foldRange(table, 0);
  }

  /** The sum over pages anywhere: `digests` (8 bytes each) belong to the first `count` `pages`. */
  foldPages(pages: Uint32Array, count: number, digests: Uint8Array): bigint {
    let sum = 0n;
    for (let from = 0; from < count; from += foldPages) {
      const part = Math.min(foldPages, count - from);
      const some = digests.subarray(from * 8, (from + part) * 8);
      this.#kernels.bytes(this.#at.table, part * 8).set(some);
      this.#kernels.words(this.#at.pages, part).set(pages.subarray(from, from + part));
      sum += this.#kernels.run.foldScattered(this.#at.table, this.#at.pages, part);
    }
    return BigInt.asUintN(64, sum);
  }

  /** The RAM digest after `pages` changed: `root` without the old digests, with the new ones. */
  updateRoot(
    root: bigint,
    pages: Uint32Array,
    count: number,
    before: Uint8Array,
    after: Uint8Array,
  ): bigint {
    const change = this.foldPages(pages, count, after) - this.foldPages(pages, count, before);
    return BigInt.asUintN(64, root + change);
  }
}

interface Regions {
  readonly images: number;
  readonly digests: number;
  readonly table: number;
  readonly pages: number;
}

function planRegions(arena: Arena): Regions {
  return {
    images: arena.reserve(batchPages * pageBytes),
    digests: arena.reserve(batchPages * 8),
    table: arena.reserve(foldPages * 8),
    pages: arena.reserve(foldPages * 4),
  };
}
