import { closeSync, fstatSync, ftruncateSync } from 'node:fs';
import { join } from 'node:path';
import { pageBytes } from '../../shared/ids.ts';
import type { PageBatch } from '../decode/epoch-decoder.ts';
import { openForUpdate, readFully, writeFully } from './alternating-file.ts';
import { digestBytes } from './digest-table.ts';
import { equal, type StagedReference, sha256 } from './replica-state.ts';
import { corrupt, fileError } from './store-errors.ts';

/**
 * The pages of the epoch that is being received, as they will be: the redo journal.
 *
 *   journal        page images, one slot of 4096 bytes each, in order of arrival
 *   journal-index  count page numbers (u32), then count page digests (8 bytes), by slot
 *
 * A page that comes again overwrites its slot, so the journal is never larger than the pages
 * that an epoch touches. The journal is written with pwrite(2), not through a map: a tmpfs that
 * is full answers a write with ENOSPC, a store to a map with SIGBUS. The file keeps its length
 * from epoch to epoch, so that its memory is allocated once.
 */
export class Staging {
  readonly slotCountMax: number;
  readonly #images: { readonly path: string; readonly descriptor: number };
  readonly #index: { readonly path: string; readonly descriptor: number };
  /** Slot of each page, or -1. Invariant: `#slots[#pages[s]] === s` for each s below count. */
  readonly #slots: Int32Array;
  #pages: Uint32Array;
  #digests: Uint8Array;
  readonly #onePage = new Uint8Array(pageBytes);
  #count = 0;

  constructor(folder: string, pageCount: number, stagingBytesMax: number) {
    this.slotCountMax = Math.min(pageCount, Math.floor(stagingBytesMax / pageBytes));
    this.#slots = new Int32Array(pageCount).fill(-1);
    this.#pages = new Uint32Array(this.slotCountMax);
    this.#digests = new Uint8Array(this.slotCountMax * digestBytes);
    this.#images = openAt(join(folder, 'journal'));
    this.#index = openAt(join(folder, 'journal-index'));
  }

  /** Pages staged. */
  get count(): number {
    return this.#count;
  }

  /** Page numbers by slot; the first `count` are in use. */
  get pages(): Uint32Array {
    return this.#pages;
  }

  /** Page digests by slot, 8 bytes each. */
  get digests(): Uint8Array {
    return this.#digests;
  }

  has(page: number): boolean {
    return this.#slots[page]! >= 0;
  }

  /** The image of a staged page, valid until the next call; undefined for any other page. */
  image(page: number): Uint8Array | undefined {
    const slot = this.#slots[page]!;
    if (slot < 0) return undefined;
    this.readImages(slot, 1, this.#onePage);
    return this.#onePage;
  }

  /**
   * Stages a batch. Returns false, with nothing staged, where it does not fit. Throws
   * `E_TMPFS_FULL`: what is staged is then of no use and must be dropped.
   */
  put(batch: PageBatch): boolean {
    if (!this.#fits(batch)) return false;
    let runFirst = 0;
    let runSlot = 0;
    for (let i = 0; i < batch.count; i++) {
      const slot = this.#slotFor(batch.pages[i]!);
      if (i > 0 && slot === runSlot + i - runFirst) continue;
      this.#putRun(batch, runFirst, i, runSlot);
      runFirst = i;
      runSlot = slot;
    }
    this.#putRun(batch, runFirst, batch.count, runSlot);
    return true;
  }

  /** Reads `count` images from slot `first` on. Throws `E_REPLICA_CORRUPT` where they end. */
  readImages(first: number, count: number, into: Uint8Array): void {
    const bytes = count * pageBytes;
    const { path, descriptor } = this.#images;
    if (readFully(descriptor, into, 0, bytes, first * pageBytes) !== bytes) {
      throw corrupt(path, 'truncated');
    }
  }

  /** Writes the index of everything staged. Throws `E_TMPFS_FULL`. */
  writeIndex(): StagedReference {
    const count = this.#count;
    const bytes = new Uint8Array(count * indexEntryBytes);
    bytes.set(asBytes(this.#pages.subarray(0, count)), 0);
    bytes.set(this.#digests.subarray(0, count * digestBytes), count * 4);
    try {
      writeFully(this.#index.descriptor, bytes, 0, bytes.length, 0);
    } catch (error) {
      throw fileError(this.#index.path, error);
    }
    return { count, sha256: sha256(bytes) };
  }

  /** Takes up what an earlier process staged. Throws `E_REPLICA_CORRUPT`. */
  load(reference: StagedReference): void {
    const { path, descriptor } = this.#index;
    const bytes = new Uint8Array(reference.count * indexEntryBytes);
    if (readFully(descriptor, bytes, 0, bytes.length, 0) !== bytes.length) {
      throw corrupt(path, 'truncated');
    }
    if (!equal(sha256(bytes), reference.sha256)) throw corrupt(path, 'its checksum is wrong');
    this.clear();
    if (reference.count > this.#pages.length) {
      // A lower bound was configured since: the journal that is there still counts.
      this.#pages = new Uint32Array(reference.count);
      this.#digests = new Uint8Array(reference.count * digestBytes);
    }
    this.#digests.set(bytes.subarray(reference.count * 4), 0);
    for (const page of new Uint32Array(bytes.buffer, 0, reference.count)) {
      if (page >= this.#slots.length) throw corrupt(path, `page ${page} is outside RAM`);
      this.#slotFor(page);
    }
    if (this.#count !== reference.count) throw corrupt(path, 'a page is named twice');
  }

  get imagesPath(): string {
    return this.#images.path;
  }

  /** Forgets everything staged. */
  clear(): void {
    for (let slot = 0; slot < this.#count; slot++) this.#slots[this.#pages[slot]!] = -1;
    this.#count = 0;
  }

  /** Clears, and gives back the memory that a synchronisation took above what epochs take. */
  shrink(): void {
    this.clear();
    const { descriptor } = this.#images;
    if (fstatSync(descriptor).size > imagesBytesKept) ftruncateSync(descriptor, imagesBytesKept);
  }

  close(): void {
    closeSync(this.#images.descriptor);
    closeSync(this.#index.descriptor);
  }

  #fits({ pages, count }: PageBatch): boolean {
    let fresh = 0;
    for (let i = 0; i < count; i++) {
      const page = pages[i]!;
      if (page >= this.#slots.length) throw new Error(`page ${page} is outside RAM`);
      if (this.#slots[page]! < 0) fresh += 1;
    }
    return this.#count + fresh <= this.slotCountMax;
  }

  #slotFor(page: number): number {
    const known = this.#slots[page]!;
    if (known >= 0) return known;
    const slot = this.#count++;
    this.#slots[page] = slot;
    this.#pages[slot] = page;
    return slot;
  }

  #putRun(batch: PageBatch, first: number, end: number, slot: number): void {
    if (first === end) return;
    const bytes = (end - first) * pageBytes;
    const digests = batch.digests.subarray(first * digestBytes, end * digestBytes);
    this.#digests.set(digests, slot * digestBytes);
    const { path, descriptor } = this.#images;
    try {
      writeFully(descriptor, batch.images, first * pageBytes, bytes, slot * pageBytes);
    } catch (error) {
      throw fileError(path, error);
    }
  }
}

const imagesBytesKept = 64 * 2 ** 20;
const indexEntryBytes = 4 + digestBytes;

function openAt(path: string): { readonly path: string; readonly descriptor: number } {
  return { path, descriptor: openForUpdate(path) };
}

function asBytes(array: Uint32Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
