import { bounds } from '../../shared/bounds.ts';
import type { UnderstudyError } from '../../shared/errors.ts';
import { type Epoch, pageBytes } from '../../shared/ids.ts';
import type { PageSet } from '../../shared/page-set.ts';
import type { CaptureShard } from '../capture/capture-slots.ts';
import type { CodecChoice } from './codec-policy.ts';
import { sumStats } from './encode-stats.ts';
import type { EncoderQuestion, EncoderWork } from './encoder-message.ts';
import { EncoderThread } from './encoder-thread.ts';
import { type EncoderOptions, type EncoderSpace, EpochEncoder } from './epoch-encoder.ts';
import type { EpochSummary, PageEncoder } from './page-encoder.ts';
import { ShardMap } from './shard-map.ts';
import { warmUpOptions } from './warm-up.ts';

const outputCount = bounds.encoderChunksMax;
/** What a thread works in. */
export interface ThreadSpace extends EncoderSpace {
  readonly outputs: SharedArrayBuffer;
}

/** A shard's part of the capture buffer is larger than its share: written pages are not even. */
const captureMargin = 1.25;

/**
 * An encoder whose shards have a thread, a WASM memory and a hash index each. This thread copies
 * pages into the memory of their shard and takes finished chunks out of it: no kernel runs here, and
 * no thread waits for another one's shard.
 */
export class ThreadEncoder implements PageEncoder {
  readonly shards: readonly CaptureShard[];
  /** All memory of the kernels and the outputs. */
  readonly memoryBytes: number;
  readonly #map: ShardMap;
  readonly #threads: readonly EncoderThread[];
  readonly #spaces: readonly EncoderSpace[];
  readonly #outputs: readonly Uint8Array[];
  readonly #chunkBytes: number;
  readonly #onFailed: (error: UnderstudyError) => void;
  /** Chunks that wait to be taken; bounded by the outputs of all threads. */
  #chunks: { readonly shard: number; readonly output: number; readonly bytes: number }[] = [];
  /** Threads that have not encoded their part of the segment yet. */
  #encoding = 0;
  #wake: (() => void) | undefined;
  #epoch: Epoch | undefined;
  #choice: CodecChoice | undefined;
  /** Shards that have been given something of the open epoch: the other threads sleep on. */
  readonly #begun: boolean[];
  /** Digest of each shard's pages, as captured last, as far as it is known. */
  readonly #digests: (bigint | undefined)[];
  /** A segment of the open epoch was begun, and not all of its chunks were taken. */
  #isPartial = false;
  /** Calls that wait for threads; `create` is the first. */
  #asking = 1;
  #over: Error | undefined;
  /** Looks for threads that hang. */
  readonly #timer: NodeJS.Timeout;

  /**
   * Memory for encoders with so many threads, one after the other: what threads share is given back
   * to the system only when the collector happens to run. Throws `E_GUEST_TOO_LARGE`.
   */
  static async reserve(options: EncoderOptions, threads: number): Promise<ThreadSpace[]> {
    const part = shardOptions(options, threads);
    const spaces: ThreadSpace[] = [];
    for (let i = 0; i < threads; i++) {
      const outputs = new SharedArrayBuffer(outputCount * options.chunkBytes);
      spaces.push({ ...(await EpochEncoder.reserve(part, 'shared', threads)), outputs });
    }
    return spaces;
  }

  /**
   * With a thread for each of `spaces`, which were reserved with the same options but for the
   * secret; an encoder that had them before is closed. `onFailed`: a thread died or hung while nothing was
   * asked of the encoder; else who asks is told. Throws `E_GUEST_TOO_LARGE`, `E_ENCODER_WORKER`.
   */
  static async create(
    options: EncoderOptions,
    spaces: readonly ThreadSpace[],
    onFailed: (error: UnderstudyError) => void,
  ): Promise<ThreadEncoder> {
    const part = shardOptions(options, spaces.length);
    const encoder = new ThreadEncoder(part, spaces, await coldKernels(options), onFailed);
    try {
      await Promise.all(encoder.#threads.map((thread) => thread.ready()));
      encoder.#asking = 0;
    } catch (error) {
      await encoder.close(error as Error);
      throw error;
    }
    areWarm = true;
    return encoder;
  }

  private constructor(
    options: EncoderOptions,
    spaces: readonly ThreadSpace[],
    warmUp: EncoderWork | undefined,
    onFailed: (error: UnderstudyError) => void,
  ) {
    this.#map = new ShardMap(options.pageCount, spaces.length);
    this.#spaces = spaces;
    this.#chunkBytes = options.chunkBytes;
    this.#begun = spaces.map(() => false);
    this.#digests = spaces.map(() => undefined);
    this.#onFailed = onFailed;
    this.shards = spaces.map(({ memory: { buffer }, regions, sizes: { capturePages } }) => ({
      captureBuffer: new Uint8Array(buffer, regions.capture, capturePages * pageBytes),
      captureCapacityPages: capturePages,
      capturePages: new Uint32Array(buffer, regions.capturePages, capturePages),
    }));
    this.#outputs = spaces.map(({ outputs }) => new Uint8Array(outputs));
    this.memoryBytes = spaces.reduce((sum, { memory }) => sum + memory.buffer.byteLength, 0);
    this.#threads = spaces.map((space, index) => {
      const shard = { index, count: spaces.length };
      const work = { options, space, outputs: space.outputs, outputCount };
      const task = { ...work, shard, warmUp: index === 0 ? warmUp : undefined };
      return new EncoderThread(task, {
        onChunk: (output, bytes) => {
          this.#chunks.push({ shard: index, output, bytes });
          this.#wake?.();
        },
        onEncoded: () => {
          this.#encoding -= 1;
          this.#wake?.();
        },
        onDeath: (error) => this.#fail(error),
      });
    });
    this.#timer = setInterval(() => {
      for (const thread of this.#threads) thread.look();
    }, bounds.encoderLookMs).unref();
  }

  shardOf(page: number): number {
    return this.#map.shardOf(page);
  }

  async adopt(counts: Uint32Array): Promise<void> {
    this.#digests.fill(undefined);
    await this.#askWith(counts, (count) => ({ kind: 'adopt', count }));
  }

  adoptZeros(first: number, end: number): void {
    this.#digests.fill(undefined);
    this.#post({ kind: 'adopt-zeros', first, end });
  }

  async adoptDigests(digests: BigUint64Array): Promise<void> {
    this.#digests.fill(undefined);
    // One copy, which all threads see.
    const shared = new BigUint64Array(new SharedArrayBuffer(digests.byteLength));
    shared.set(digests);
    await this.#ask(this.#threads, () => ({ kind: 'adopt-digests', digests: shared }));
  }

  async differing(counts: Uint32Array): Promise<readonly number[]> {
    const answers = await this.#askWith(counts, (count) => ({ kind: 'differing', count }));
    return answers.flatMap(({ pages }) => pages!);
  }

  async pageDigests(first: number, count: number): Promise<Uint8Array> {
    await this.#ask(this.#threads, () => ({ kind: 'settle' }));
    const digests = new Uint8Array(count * 8);
    for (const [shard, { memory, regions }] of this.#spaces.entries()) {
      this.#map.eachRun(shard, first, first + count, (from, end) => {
        const at = regions.digests + from * 8;
        digests.set(new Uint8Array(memory.buffer, at, (end - from) * 8), (from - first) * 8);
      });
    }
    return digests;
  }

  forget(pages: PageSet): void {
    const list = new Uint32Array(pages.size);
    pages.take(0, list);
    this.#post({ kind: 'forget', pages: list });
  }

  begin(epoch: Epoch, choice?: CodecChoice): void {
    if (this.#epoch !== undefined) throw new Error('the epoch before is not finished');
    this.#epoch = epoch;
    this.#choice = choice;
    this.#begun.fill(false);
  }

  async *encode(counts: Uint32Array): AsyncGenerator<Uint8Array, void, void> {
    if (this.#isPartial) throw new Error('a segment is open');
    this.#isPartial = true;
    for (const [shard, count] of counts.entries()) {
      if (count === 0) continue;
      this.#encoding += 1;
      this.#beginIn(shard);
      this.#threads[shard]!.post({ kind: 'encode', count });
    }
    for (;;) {
      const chunk = await this.#nextChunk();
      if (chunk === undefined) break;
      const { shard, output, bytes } = chunk;
      const start = output * this.#chunkBytes;
      yield this.#outputs[shard]!.subarray(start, start + bytes);
      this.#threads[shard]!.post({ kind: 'free', output });
    }
    this.#isPartial = false;
  }

  async finish(): Promise<EpochSummary> {
    if (this.#epoch === undefined) throw new Error('no epoch is open');
    if (this.#isPartial) throw new Error('an epoch was not encoded to its end');
    for (const [shard, digest] of this.#digests.entries()) {
      if (digest === undefined) this.#beginIn(shard);
    }
    const busy = [...this.#threads.keys()].filter((shard) => this.#begun[shard]);
    const answers = await this.#ask(
      busy.map((shard) => this.#threads[shard]!),
      () => ({ kind: 'finish' }),
    );
    const summaries = answers.map(({ summary }) => summary!);
    for (const [at, { ramDigest }] of summaries.entries()) this.#digests[busy[at]!] = ramDigest;
    this.#epoch = undefined;
    const ramDigest = this.#digests.reduce((sum: bigint, digest) => sum + digest!, 0n);
    return {
      ramDigest: BigInt.asUintN(64, ramDigest),
      stats: sumStats(summaries.map(({ stats }) => stats)),
    };
  }

  async close(why: Error): Promise<void> {
    this.#over ??= why;
    clearInterval(this.#timer);
    this.#wake?.();
    await Promise.all(this.#threads.map((thread) => thread.end(why)));
  }

  #beginIn(shard: number): void {
    if (this.#epoch === undefined) throw new Error('no epoch is open');
    if (this.#begun[shard]) return;
    this.#begun[shard] = true;
    this.#threads[shard]!.post({ kind: 'begin', epoch: this.#epoch, choice: this.#choice });
  }

  async #nextChunk() {
    for (;;) {
      if (this.#over !== undefined) throw this.#over;
      const chunk = this.#chunks.shift();
      if (chunk !== undefined || this.#encoding === 0) return chunk;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }

  /** Asks those threads whose slots are filled. */
  async #askWith(counts: Uint32Array, question: (count: number) => EncoderQuestion) {
    const busy = [...this.#threads.keys()].filter((shard) => counts[shard]! > 0);
    return await this.#ask(
      busy.map((shard) => this.#threads[shard]!),
      (at) => question(counts[busy[at]!]!),
    );
  }

  async #ask(threads: readonly EncoderThread[], question: (at: number) => EncoderQuestion) {
    if (this.#over !== undefined) throw this.#over;
    this.#asking += 1;
    try {
      return await Promise.all(threads.map((thread, at) => thread.ask(question(at))));
    } finally {
      this.#asking -= 1;
    }
  }

  #post(message: Parameters<EncoderThread['post']>[0]): void {
    for (const thread of this.#threads) thread.post(message);
  }

  /** An encoder without one of its shards is of no use: all threads end. */
  #fail(error: UnderstudyError): void {
    if (this.#over !== undefined) return;
    const isAwaited = this.#asking > 0 || this.#wake !== undefined;
    this.close(error).catch(() => {});
    if (!isAwaited) this.#onFailed(error);
  }
}

let areWarm = false;

/** Something to warm the kernels up with, where no thread of this process has run them yet. */
async function coldKernels(options: EncoderOptions): Promise<EncoderWork | undefined> {
  if (areWarm) return undefined;
  const small = warmUpOptions(options);
  return { options: small, space: await EpochEncoder.reserve(small, 'shared') };
}

function shardOptions(options: EncoderOptions, count: number): EncoderOptions {
  if (count === 1) return options;
  const captureBytes = Math.min(
    options.captureBytes,
    (options.captureBytes * captureMargin) / count,
  );
  return { ...options, captureBytes, keptBytes: options.keptBytes / count };
}
