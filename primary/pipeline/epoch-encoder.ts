import { chunkBytesMax, chunkBytesMin, chunkPagesMax } from '../../shared/codec/chunk.ts';
import { type KernelBuild, type Kernels, reserveKernels } from '../../shared/codec/kernels.ts';
import { asDigests } from '../../shared/codec/region-digest.ts';
import { type Epoch, pageBytes } from '../../shared/ids.ts';
import type { PageSet } from '../../shared/page-set.ts';
import { ChunkWriter } from './chunk-writer.ts';
import type { CodecChoice } from './codec-policy.ts';
import { compressionCosts } from './compression-costs.ts';
import { emptyTally, readStats, statsSlots } from './encode-stats.ts';
import { type EncoderSpace, type LiveRam, startEncoderKernels } from './encoder-kernels.ts';
import {
  type EncoderRegions,
  type EncoderSizes,
  planEncoder,
  scratchPages,
} from './encoder-memory.ts';
import type { EncoderOptions } from './encoder-options.ts';
import type { EpochSummary } from './page-encoder.ts';
import { ShardMap } from './shard-map.ts';
import { warmUp, warmUpOptions, warmUpRam } from './warm-up.ts';

export type { EncodeStats, MethodStats } from './encode-stats.ts';
export type { EncoderSpace, LiveRam } from './encoder-kernels.ts';
export type { EncoderOptions } from './encoder-options.ts';

/** Which pages an encoder is for: those of one shard. */
export interface ShardPlace {
  readonly index: number;
  readonly count: number;
}

const onlyShard: ShardPlace = { index: 0, count: 1 };

/** Answers of the kernel `encodePages`. */
const segmentDone = 0;
const groupIsFull = 2;
const pageOutsideRam = 3;

/**
 * Turns captured pages of one shard into chunk payloads: identify, share, compress, in one WASM
 * call for as many pages as fit a chunk. The hash index always says what the guest held when a page
 * was captured last; a bitmap beside it says for which pages the backup may hold something else
 * ("unknown"). References name pages of the same shard only, and only such as come before in the
 * epoch, or such as the backup held before it: so chunks of two shards may go in any order.
 */
export class EpochEncoder {
  /** Where captured pages go: `captureCapacityPages` times 4096 bytes. */
  readonly captureBuffer: Uint8Array;
  readonly captureCapacityPages: number;
  /** The page number of each slot of the capture buffer. A page is in a segment at most once. */
  readonly capturePages: Uint32Array;
  /** All memory of the kernels: the hash index, buffers and tables. */
  readonly memoryBytes: number;

  readonly #pageCount: number;
  readonly #wholePages: boolean;
  readonly #kernels: Kernels;
  readonly #at: EncoderRegions;
  readonly #writer: ChunkWriter;
  readonly #counters: Float64Array;
  readonly #pages: ShardMap;
  readonly #shard: number;
  /** The last epoch begun, and the kernels' notion of it: they count from 1. */
  #epoch = 0;
  #serial = 0;
  #isOpen = false;
  /** An `encode` of this epoch was not run to its end. */
  #isPartial = false;
  #tally = emptyTally();

  private constructor(
    options: EncoderOptions,
    { sizes, regions }: EncoderSpace,
    kernels: Kernels,
    shard: ShardPlace,
    output: Buffer,
  ) {
    this.#pageCount = options.pageCount;
    this.#pages = new ShardMap(options.pageCount, shard.count);
    this.#shard = shard.index;
    this.#wholePages = options.wholePages ?? false;
    this.#kernels = kernels;
    this.#at = regions;
    this.#writer = new ChunkWriter(output, options.blockBytes, options.generalCodec);
    this.memoryBytes = kernels.memoryBytes;
    this.captureCapacityPages = sizes.capturePages;
    this.captureBuffer = kernels.bytes(regions.capture, sizes.capturePages * pageBytes);
    this.capturePages = kernels.words(regions.capturePages, sizes.capturePages);
    this.#counters = new Float64Array(kernels.memory.buffer, kernels.run.statsAt(), statsSlots);
    this.#eachRun(0, options.pageCount, (first, end) => kernels.run.clearPages(first, end));
  }

  /**
   * Every page is unknown at first. Without `ram` nothing is shared with pages that are neither
   * captured nor kept. Throws UnderstudyError `E_GUEST_TOO_LARGE`.
   */
  static async create(options: EncoderOptions, ram?: LiveRam): Promise<EpochEncoder> {
    EpochEncoder.#warm ??= EpochEncoder.#createCold(warmUpOptions(options), warmUpRam).then(warmUp);
    await EpochEncoder.#warm;
    return await EpochEncoder.#createCold(options, ram);
  }

  static #warm: Promise<void> | undefined;

  static async #createCold(options: EncoderOptions, ram?: LiveRam): Promise<EpochEncoder> {
    const space = await EpochEncoder.reserve(options, 'own');
    return EpochEncoder.start(options, space, onlyShard, Buffer.alloc(options.chunkBytes), ram);
  }

  /** Plans the encoder of one of `shards` and reserves its memory. Throws `E_GUEST_TOO_LARGE`. */
  static async reserve(
    options: EncoderOptions,
    build: KernelBuild,
    shards = 1,
  ): Promise<EncoderSpace> {
    if (options.chunkBytes < chunkBytesMin || options.chunkBytes > chunkBytesMax) {
      throw new RangeError(`chunkBytes must be ${chunkBytesMin} to ${chunkBytesMax}`);
    }
    const sizes: EncoderSizes = {
      capturePages: Math.max(1, Math.floor(options.captureBytes / pageBytes)),
      keptPages: options.sharing || options.delta ? Math.floor(options.keptBytes / pageBytes) : 0,
      chunkBytes: options.chunkBytes,
      groupBytes: groupBytesFor(options.chunkBytes),
      sharing: options.sharing,
      shardPages: Math.ceil(options.pageCount / shards),
    };
    const space = await reserveKernels(build, (arena) => planEncoder(arena, options, sizes));
    return { ...space, sizes };
  }

  /**
   * On memory that was reserved with the same options, and that nothing uses any more if it was in
   * use before. Chunks are made in `output`. `ram`: as for `create`.
   */
  static start(
    options: EncoderOptions,
    space: EncoderSpace,
    shard: ShardPlace,
    output: Buffer,
    ram?: LiveRam,
  ): EpochEncoder {
    return new EpochEncoder(
      options,
      space,
      startEncoderKernels(options, space, ram),
      shard,
      output,
    );
  }

  /** Where chunks are made from the next one on: `chunkBytes` long. */
  set output(buffer: Buffer) {
    this.#writer.output = buffer;
  }

  /** The backup holds the pages in slots 0 to `count - 1` as they are; nothing is sent. */
  adopt(count: number): void {
    this.#checkCount(count);
    const pages = this.capturePages;
    for (let slot = 0; slot < count; ) {
      const first = pages[slot]!;
      let end = slot + 1;
      while (end < count && pages[end] === first + end - slot) end += 1;
      this.#checkRange(first, first + end - slot);
      this.#kernels.run.adoptRange(first, end - slot, this.#at.capture + slot * pageBytes);
      slot = end;
    }
  }

  /** The backup holds zeros in the pages of `first` to `end - 1`, and so does the guest. */
  adoptZeros(first: number, end: number): void {
    this.#eachRun(first, end, (from, to) => this.#kernels.run.adoptZeros(from, to));
  }

  /**
   * The backup holds RAM with these page digests, and so did the guest. No block of it is known
   * here: all of a page that is not zeros is sent when it is captured first. The slots are lost.
   */
  adoptDigests(digests: BigUint64Array): void {
    const bytes = new Uint8Array(digests.buffer, digests.byteOffset, digests.byteLength);
    const atOnce = Math.floor(this.captureBuffer.length / 8);
    this.#eachRun(0, this.#pageCount, (from, end) => {
      for (let first = from; first < end; first += atOnce) {
        const count = Math.min(atOnce, end - first);
        this.captureBuffer.set(bytes.subarray(first * 8, (first + count) * 8));
        this.#kernels.run.adoptDigests(first, count, this.#at.capture);
      }
    });
  }

  /** The pages in slots 0 to `count - 1` that are not what they were when captured last. */
  differing(count: number): number[] {
    this.#checkCount(count);
    const { digests, compared } = this.#at;
    this.#kernels.run.digestImages(this.#at.capture, count, compared);
    const found = asDigests(this.#kernels.bytes(compared, count * 8));
    const recorded = asDigests(this.#kernels.bytes(digests, this.#pageCount * 8));
    const pages: number[] = [];
    for (let slot = 0; slot < count; slot++) {
      const page = this.capturePages[slot]!;
      if (found[slot] !== recorded[page]) pages.push(page);
    }
    return pages;
  }

  /** Page digests, 8 bytes each, of the pages as captured last. A view: it changes later on. */
  pageDigests(first: number, count: number): Uint8Array {
    this.#checkRange(first, first + count);
    return this.#kernels.bytes(this.#at.digests + first * 8, count * 8);
  }

  /** Digest of all RAM as captured last. */
  ramDigest(): bigint {
    return BigInt.asUintN(64, this.#kernels.run.ramDigest());
  }

  /** The backup may not hold these pages: when they are captured next, all of them is sent. */
  forget(pages: PageSet): void {
    const list = this.#kernels.words(this.#at.scratch, scratchPages);
    for (let from = 0; from < this.#pageCount; ) {
      const count = pages.take(from, list);
      this.#kernels.run.forgetPages(this.#at.scratch, count);
      if (count < list.length) return;
      from = list[count - 1]! + 1;
    }
  }

  /** `choice`: how groups are compressed from now on; without it as before. */
  begin(epoch: Epoch, choice?: CodecChoice): void {
    if (this.#isOpen) throw new Error('the epoch before is not finished');
    if (epoch <= this.#epoch) throw new Error(`epoch ${epoch} cannot follow epoch ${this.#epoch}`);
    this.#epoch = epoch;
    this.#isOpen = true;
    this.#isPartial = false;
    this.#serial += 1;
    this.#kernels.run.beginEpoch(this.#serial);
    this.#kernels.run.beginSegment(0);
    if (choice !== undefined) this.#choose(choice);
    this.#counters.fill(0);
    this.#tally = emptyTally();
  }

  /**
   * Encodes slots 0 to `count - 1` as one segment of the open epoch. Each payload is valid until
   * the next step; all of them must be taken before the slots are filled anew, and before the epoch
   * can be finished.
   */
  *encode(count: number): Generator<Uint8Array, void, void> {
    if (!this.#isOpen) throw new Error('no epoch is open');
    this.#checkCount(count);
    const { run } = this.#kernels;
    if (this.#wholePages) run.forgetPages(this.#at.capturePages, count);
    run.beginSegment(count);
    this.#isPartial = true;
    for (let isDone = false; !isDone; ) {
      isDone = this.#fillChunk();
      if (run.pagesInChunk() > 0) yield this.#closeChunk();
      run.beginChunk();
    }
    this.#isPartial = false;
  }

  finish(): EpochSummary {
    if (!this.#isOpen) throw new Error('no epoch is open');
    if (this.#isPartial) throw new Error('an epoch was not encoded to its end');
    this.#isOpen = false;
    return {
      ramDigest: this.ramDigest(),
      stats: readStats(this.#counters, this.#tally),
    };
  }

  #choose(choice: CodecChoice): void {
    const { codec, level, ratio } = choice;
    const { wkdm, general } = compressionCosts(choice.bytesPerSecond, choice.linkBytesPerSecond);
    this.#writer.choose(codec, level);
    const expected = Math.round(Math.min(1, ratio) * 65536);
    this.#kernels.run.setGeneral(Number(codec !== 'none'), wkdm, general, expected);
  }

  /** Encodes until the chunk is full or the segment ends: then true. */
  #fillChunk(): boolean {
    const { run } = this.#kernels;
    for (;;) {
      const answer = run.encodePages(this.#writer.room);
      if (answer === pageOutsideRam) throw new RangeError('a captured page is outside RAM');
      const hadGroup = this.#closeGroup();
      if (answer === segmentDone) return true;
      if (answer === groupIsFull) continue;
      if (run.pagesInChunk() === 0) throw new Error('a page does not fit an empty chunk');
      // The open group was counted as it was before compression: there may be room again.
      const room = this.#writer.room - run.headBytes() - run.bodyBytes();
      if (!hadGroup || run.pagesInChunk() === chunkPagesMax || room < chunkBytesMin) return false;
    }
  }

  #closeGroup(): boolean {
    const { run } = this.#kernels;
    const plainBytes: number = run.groupBytes.value;
    if (plainBytes === 0) return false;
    const startedAtMs = performance.now();
    const bytes = this.#writer.addGroup(this.#kernels.bytes(this.#at.group, plainBytes));
    this.#tally.generalMs += performance.now() - startedAtMs;
    run.groupClosed(bytes);
    this.#tally.generalBytesOut += bytes;
    return true;
  }

  #closeChunk(): Uint8Array {
    const { run } = this.#kernels;
    const payload = this.#writer.close(
      run.pagesInChunk(),
      this.#kernels.bytes(this.#at.heads, run.headBytes()),
      this.#kernels.bytes(this.#at.bodies, run.bodyBytes()),
      this.#kernels.bytes(this.#at.sources, run.sourceCount.value * 4),
    );
    this.#tally.chunkBytes += payload.length;
    this.#tally.chunks += 1;
    return payload;
  }

  #eachRun(first: number, end: number, visit: (first: number, end: number) => void): void {
    this.#pages.eachRun(this.#shard, first, end, visit);
  }

  #checkCount(count: number): void {
    if (count > this.captureCapacityPages) throw new RangeError('more pages than were captured');
  }

  #checkRange(first: number, end: number): void {
    if (first < 0 || end < first || end > this.#pageCount) {
      throw new RangeError(`pages ${first} to ${end} are not in RAM`);
    }
  }
}

/** Groups for the general codec: 256 KiB, or what a small chunk can hold beside a page. */
function groupBytesFor(chunkBytes: number): number {
  return Math.min(256 << 10, Math.floor(chunkBytes / 2 / pageBytes) * pageBytes);
}
