import type { Epoch } from '../../shared/ids.ts';
import type { PageSet } from '../../shared/page-set.ts';
import type { CodecChoice } from './codec-policy.ts';
import { type EncoderOptions, EpochEncoder, type LiveRam } from './epoch-encoder.ts';
import type { EpochSummary, PageEncoder } from './page-encoder.ts';

/** An encoder in this thread, of one shard: for virtual time, tests and benchmarks. */
export class LocalEncoder implements PageEncoder {
  readonly shards: readonly [EpochEncoder];
  readonly #it: EpochEncoder;
  #over: Error | undefined;

  private constructor(encoder: EpochEncoder) {
    this.#it = encoder;
    this.shards = [encoder];
  }

  /** Throws `E_GUEST_TOO_LARGE`. */
  static async create(options: EncoderOptions, ram?: LiveRam): Promise<LocalEncoder> {
    return new LocalEncoder(await EpochEncoder.create(options, ram));
  }

  shardOf(): number {
    return 0;
  }

  async adopt(counts: Uint32Array): Promise<void> {
    this.#checkOpen();
    this.#it.adopt(counts[0]!);
  }

  adoptZeros(first: number, end: number): void {
    this.#it.adoptZeros(first, end);
  }

  async adoptDigests(digests: BigUint64Array): Promise<void> {
    this.#checkOpen();
    this.#it.adoptDigests(digests);
  }

  async differing(counts: Uint32Array): Promise<readonly number[]> {
    this.#checkOpen();
    return this.#it.differing(counts[0]!);
  }

  async pageDigests(first: number, count: number): Promise<Uint8Array> {
    this.#checkOpen();
    return this.#it.pageDigests(first, count);
  }

  forget(pages: PageSet): void {
    this.#it.forget(pages);
  }

  begin(epoch: Epoch, choice?: CodecChoice): void {
    this.#it.begin(epoch, choice);
  }

  encode(counts: Uint32Array): Iterable<Uint8Array> {
    this.#checkOpen();
    return this.#it.encode(counts[0]!);
  }

  async finish(): Promise<EpochSummary> {
    this.#checkOpen();
    return this.#it.finish();
  }

  async close(why: Error): Promise<void> {
    this.#over ??= why;
  }

  #checkOpen(): void {
    if (this.#over !== undefined) throw this.#over;
  }
}
