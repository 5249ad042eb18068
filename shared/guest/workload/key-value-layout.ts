import { pageBytes } from '../../ids.ts';

/**
 * Where a `KeyValueWorkload` keeps what, as byte addresses from the start of its region. Sizes
 * are jemalloc's classes; each area starts on a page and nothing crosses one:
 *
 *   network buffers | log (page cache) | buckets 8 B | dict entries 32 B | keys 32 B |
 *   objects 2 × 16 B a key | values 2 × 64, 128, 256 or 512 B a key
 *
 * Of fifteen keys eight have values in slots of 64 bytes, four of 128, two of 256, one of 512:
 * with two slots for each key that is one page.
 */
export class KeyValueLayout {
  readonly keyCount: number;
  readonly bufferPages = 4;
  readonly logPages: number;
  readonly #buckets: number;
  readonly #entries: number;
  readonly #keys: number;
  readonly #objects: number;
  readonly #values: number;

  constructor(pageCount: number) {
    this.logPages = Math.max(1, pageCount >>> 6);
    const keyPages = pageCount - this.bufferPages - this.logPages - 4;
    const groups = Math.floor((keyPages * pageBytes) / groupBytes);
    this.keyCount = groups * groupKeys;
    if (groups <= 0) throw new RangeError('a region too small for one group of keys');
    this.#buckets = (this.bufferPages + this.logPages) * pageBytes;
    this.#entries = this.#buckets + wholePages(this.keyCount * 8);
    this.#keys = this.#entries + wholePages(this.keyCount * 32);
    this.#objects = this.#keys + wholePages(this.keyCount * 32);
    this.#values = this.#objects + wholePages(this.keyCount * 32);
  }

  /** The hash bucket of `key`: about one key a bucket, some with several. */
  bucketAt(key: number): number {
    return this.#buckets + ((Math.imul(key, 0x9e37_79b1) >>> 0) % this.keyCount) * 8;
  }

  entryAt(key: number): number {
    return this.#entries + key * 32;
  }

  keyAt(key: number): number {
    return this.#keys + key * 32;
  }

  objectAt(key: number, slot: number): number {
    return this.#objects + key * 32 + slot * 16;
  }

  slotBytes(key: number): number {
    return slotBytesOf[key % groupKeys]!;
  }

  /** Between half of the slot and all of it less header and end: 36 … 506 bytes. */
  valueLength(key: number): number {
    const slot = this.slotBytes(key);
    return Math.max(36, slot - 6 - ((Math.imul(key, 0x85eb_ca6b) >>> 8) % (slot >>> 1)));
  }

  valueAt(key: number, slot: number): number {
    const group = Math.floor(key / groupKeys) * pageBytes;
    return this.#values + group + slotStartOf[key % groupKeys]! + slot * this.slotBytes(key);
  }

  /** The guest's virtual address of `address`, low and high half. */
  pointerLow(address: number): number {
    return (heapLow + address) % 0x1_0000_0000;
  }

  pointerHigh(address: number): number {
    return heapHigh + Math.floor((heapLow + address) / 0x1_0000_0000);
  }
}

/** 0x00007f2a_b4000000: where Linux puts a heap that was mapped. */
const heapHigh = 0x7f2a;
const heapLow = 0xb400_0000;

/** Large before small, so that each slot is aligned to its size. */
const slotBytesOf: readonly number[] = [
  512,
  ...Array<number>(2).fill(256),
  ...Array<number>(4).fill(128),
  ...Array<number>(8).fill(64),
];
const groupKeys = slotBytesOf.length;
const slotStartOf: readonly number[] = slotBytesOf.map((_, i) =>
  slotBytesOf.slice(0, i).reduce((sum, bytes) => sum + 2 * bytes, 0),
);
/** What a group of keys takes in all areas. */
const groupBytes = pageBytes + groupKeys * (8 + 32 + 32 + 32);

const wholePages = (bytes: number): number => Math.ceil(bytes / pageBytes) * pageBytes;
