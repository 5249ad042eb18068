import { EpochDecoder, type PageBatch } from '../../../backup/decode/epoch-decoder.ts';
import {
  type EncoderOptions,
  type EncodeStats,
  EpochEncoder,
  type LiveRam,
} from '../../../primary/pipeline/epoch-encoder.ts';
import { PageDigester } from '../../../shared/codec/page-digester.ts';
import { epoch, pageBytes } from '../../../shared/ids.ts';
import type { GuestMemory } from '../../../shared/memory/guest-memory.ts';

/** xorshift32: numbers that a seed determines. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = (seed | 0) === 0 ? 1 : seed | 0;
  }

  next(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return x >>> 0;
  }

  below(limit: number): number {
    return this.next() % limit;
  }

  fill(bytes: Uint8Array): void {
    for (let i = 0; i < bytes.length; i++) bytes[i] = this.next() >>> 11;
  }
}

export function secretFor(seed: number): Uint8Array {
  const secret = new Uint8Array(192);
  new Random(seed).fill(secret);
  return secret;
}

/** RAM in an array. */
export class ArrayMemory implements GuestMemory {
  readonly pageCount: number;
  readonly bytes: Uint8Array;

  constructor(pageCount: number) {
    this.pageCount = pageCount;
    this.bytes = new Uint8Array(pageCount * pageBytes);
  }

  page(page: number): Uint8Array {
    return this.bytes.subarray(page * pageBytes, (page + 1) * pageBytes);
  }

  copyPages(pages: Uint32Array, count: number, into: Uint8Array, offset: number): void {
    for (let i = 0; i < count; i++) into.set(this.page(pages[i]!), offset + i * pageBytes);
  }

  readRange(first: number, count: number, into: Uint8Array, offset: number): void {
    into.set(this.bytes.subarray(first * pageBytes, (first + count) * pageBytes), offset);
  }

  nextData(page: number): { first: number; end: number } | undefined {
    return page < this.pageCount ? { first: page, end: this.pageCount } : undefined;
  }
}

/** A backup's RAM that applies epochs whole, as the replica store does. */
export class TestReplica {
  readonly ram: ArrayMemory;
  readonly digests: Uint8Array;
  readonly stagedPages = new Map<number, Uint8Array>();
  readonly stagedDigests = new Map<number, Uint8Array>();
  readonly #decoder: EpochDecoder;
  readonly #digester: PageDigester;

  constructor(pageCount: number, decoder: EpochDecoder, digester: PageDigester) {
    this.ram = new ArrayMemory(pageCount);
    this.#decoder = decoder;
    this.#digester = digester;
    this.digests = new Uint8Array(pageCount * 8);
    digester.digestRange(this.ram, 0, pageCount, this.digests);
  }

  staged(page: number): Uint8Array | undefined {
    return this.stagedPages.get(page);
  }

  stage(batch: PageBatch): void {
    for (let i = 0; i < batch.count; i++) {
      const page = batch.pages[i]!;
      this.stagedPages.set(page, batch.images.slice(i * pageBytes, (i + 1) * pageBytes));
      this.stagedDigests.set(page, batch.digests.slice(i * 8, (i + 1) * 8));
    }
  }

  decode(payload: Uint8Array): void {
    this.#decoder.decode(payload, this, this);
  }

  commit(): void {
    for (const [page, image] of this.stagedPages) this.ram.page(page).set(image);
    for (const [page, digest] of this.stagedDigests) this.digests.set(digest, page * 8);
    this.drop();
  }

  drop(): void {
    this.stagedPages.clear();
    this.stagedDigests.clear();
  }

  ramDigest(): bigint {
    return this.#digester.foldRoot(this.digests);
  }
}

export const smallOptions: EncoderOptions = {
  pageCount: 256,
  blockBytes: 64,
  hash: 'xxh3',
  secret: secretFor(7),
  generalCodec: 'lz4',
  sharing: true,
  compression: true,
  delta: true,
  captureBytes: 64 * pageBytes,
  keptBytes: 16 * pageBytes,
  chunkBytes: 64 << 10,
};

export async function createPair(
  options: EncoderOptions,
  ram?: LiveRam,
): Promise<{ encoder: EpochEncoder; replica: TestReplica; digester: PageDigester }> {
  const encoder = await EpochEncoder.create(options, ram);
  const digester = await PageDigester.create(options);
  const decoder = await EpochDecoder.create(options);
  return { encoder, digester, replica: new TestReplica(options.pageCount, decoder, digester) };
}

/** Captures `pages` of `guest` as one segment; returns copies of the payloads. */
export function encodeSegment(
  encoder: EpochEncoder,
  guest: ArrayMemory,
  pages: readonly number[],
): Uint8Array[] {
  const payloads: Uint8Array[] = [];
  for (let from = 0; from < pages.length; from += encoder.captureCapacityPages) {
    const part = pages.slice(from, from + encoder.captureCapacityPages);
    encoder.capturePages.set(part);
    guest.copyPages(encoder.capturePages, part.length, encoder.captureBuffer, 0);
    for (const payload of encoder.encode(part.length)) payloads.push(payload.slice());
  }
  return payloads;
}

/** A whole epoch: begun, encoded in one go, finished. */
export function encodeEpoch(
  encoder: EpochEncoder,
  number: number,
  guest: ArrayMemory,
  pages: readonly number[],
): { payloads: Uint8Array[]; ramDigest: bigint; stats: EncodeStats } {
  encoder.begin(epoch(number));
  const payloads = encodeSegment(encoder, guest, pages);
  return { payloads, ...encoder.finish() };
}
