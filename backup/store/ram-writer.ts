import type { CodecSettings } from '../../shared/codec/codec-settings.ts';
import { PageDigester } from '../../shared/codec/page-digester.ts';
import { pageBytes } from '../../shared/ids.ts';
import type { WritableMemory } from '../../shared/memory/guest-memory.ts';
import { PageSet } from '../../shared/page-set.ts';
import type { PageBatch } from '../decode/epoch-decoder.ts';
import { type DigestTable, digestBytes } from './digest-table.ts';
import { equal } from './replica-state.ts';
import type { Staging } from './staging.ts';
import { corrupt, fileError } from './store-errors.ts';
import { Turns } from './turns.ts';

/** Writes pages to RAM, and to the digest table with them. */
export class RamWriter {
  readonly #memory: WritableMemory;
  readonly #staging: Staging;
  readonly #images = new Uint8Array(slicePages * pageBytes);
  /** Pages that have memory of their own: writing them can't fail for want of room. */
  #allocated: PageSet | null = null;

  constructor(memory: WritableMemory, staging: Staging) {
    this.#memory = memory;
    this.#staging = staging;
  }

  /** Writes a batch at once. Throws `E_TMPFS_FULL`: the table is then of no use any more. */
  write(batch: PageBatch, table: DigestTable): void {
    try {
      this.#memory.writePages(batch.pages, batch.count, batch.images, 0);
    } catch (error) {
      throw fileError('guest RAM', error);
    }
    table.set(batch.pages, batch.count, batch.digests);
    this.#noteAllocated(batch.pages, batch.count);
  }

  /**
   * Gives each staged page that falls into a hole of RAM its memory, by writing the zeros that
   * it reads as. Throws `E_TMPFS_FULL`, with RAM saying what it said: an epoch that is sealed
   * can be written for certain.
   */
  reserve(): void {
    const allocated = this.#survey();
    const holes = this.#staging.pages
      .subarray(0, this.#staging.count)
      .filter((page) => !allocated.has(page))
      .sort();
    this.#images.fill(0);
    for (let first = 0; first < holes.length; first += slicePages) {
      const pages = holes.subarray(first, first + slicePages);
      try {
        this.#memory.writePages(pages, pages.length, this.#images, 0);
      } catch (error) {
        throw fileError('guest RAM', error);
      }
      this.#noteAllocated(pages, pages.length);
    }
  }

  /** Writes everything staged. The event loop turns; RAM is half an epoch until this resolves. */
  async apply(table: DigestTable): Promise<void> {
    const turns = new Turns();
    for (const batch of this.stagedBatches()) {
      this.write(batch, table);
      await turns.after(batch.count);
    }
  }

  /**
   * The same for what another process staged, or what an earlier attempt wrote in part: each
   * page is checked against the digest that the index has for it. Throws `E_REPLICA_CORRUPT`.
   */
  async applyChecked(settings: CodecSettings): Promise<void> {
    const digester = await PageDigester.create(settings);
    const turns = new Turns();
    for (const { pages, count, images, digests } of this.stagedBatches()) {
      digester.buffer.set(images.subarray(0, count * pageBytes));
      if (!equal(digester.digestBuffer(count), digests)) {
        throw corrupt(this.#staging.imagesPath, 'a page image is not what its index says');
      }
      this.#memory.writePages(pages, count, images, 0);
      await turns.after(count);
    }
    this.#allocated = null;
  }

  /** What is staged, in order of arrival. A batch is valid until the next one. */
  *stagedBatches(): Generator<PageBatch> {
    const staging = this.#staging;
    for (let first = 0; first < staging.count; first += slicePages) {
      const count = Math.min(slicePages, staging.count - first);
      staging.readImages(first, count, this.#images);
      yield {
        pages: staging.pages.subarray(first, first + count),
        count,
        images: this.#images,
        digests: staging.digests.subarray(first * digestBytes, (first + count) * digestBytes),
      };
    }
  }

  #survey(): PageSet {
    if (this.#allocated !== null) return this.#allocated;
    const allocated = new PageSet(this.#memory.pageCount);
    let run = this.#memory.nextData(0);
    while (run !== undefined) {
      const end = Math.min(run.end, allocated.pageCount);
      allocated.addRange(run.first, end);
      run = end < allocated.pageCount ? this.#memory.nextData(end) : undefined;
    }
    this.#allocated = allocated;
    return allocated;
  }

  #noteAllocated(pages: Uint32Array, count: number): void {
    const allocated = this.#allocated;
    if (allocated === null) return;
    for (let i = 0; i < count; i++) allocated.add(pages[i]!);
  }
}

/** Pages read from the journal at once: 1 MiB, and no more than a digester takes. */
const slicePages = 256;
