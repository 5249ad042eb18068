import { availableParallelism } from 'node:os';
import { captureBytesOf, workersOf } from '../shared/config/derived.ts';
import type { PrimaryConfig } from '../shared/config/schema.ts';
import type { UnderstudyError } from '../shared/errors.ts';
import type { GuestMemory } from '../shared/memory/guest-memory.ts';
import { RamFile } from '../shared/memory/ram-file.ts';
import { CodecPolicy } from './pipeline/codec-policy.ts';
import type { EncoderOptions } from './pipeline/epoch-encoder.ts';
import type { PageEncoder } from './pipeline/page-encoder.ts';
import { ThreadEncoder, type ThreadSpace } from './pipeline/thread-encoder.ts';
import { sessionClosed } from './session/session-closed.ts';

/** The encoders of one session after the other, as the configuration says. */
export class SessionEncoders {
  readonly #config: PrimaryConfig;
  readonly #memory: GuestMemory;
  readonly #chunkBytes: number;
  /** The memory is that of all of them in turn. */
  #spaces: readonly ThreadSpace[] | undefined;
  #last: PageEncoder | undefined;
  /** With `compress.general: auto`; what it learns outlives sessions. */
  readonly codecs: CodecPolicy | undefined;

  constructor(config: PrimaryConfig, memory: GuestMemory, chunkBytes: number) {
    this.#config = config;
    this.#memory = memory;
    this.#chunkBytes = chunkBytes;
    const { general, gzipLevelMax } = config.compress;
    const threads = workersOf(config, availableParallelism());
    if (general === 'auto') this.codecs = new CodecPolicy({ gzipLevelMax, threads });
  }

  /** The threads of the encoder before are gone by then. */
  async open(secret: Uint8Array, onFailed: (error: UnderstudyError) => void): Promise<PageEncoder> {
    await this.close();
    const { mode, identify, share, compress } = this.#config;
    const { hash, blockBytes } = identify;
    const options: EncoderOptions = {
      ...{ pageCount: this.#memory.pageCount, blockBytes, hash, secret },
      generalCodec: compress.general === 'auto' ? 'lz4' : compress.general,
      wholePages: mode !== 'fgbi',
      sharing: share.enabled,
      ramFile: this.#memory instanceof RamFile ? this.#memory.path : undefined,
      compression: compress.enabled,
      delta: compress.delta.enabled,
      captureBytes: captureBytesOf(this.#config),
      keptBytes: compress.delta.keptPages,
      chunkBytes: this.#chunkBytes,
    };
    const workers = workersOf(this.#config, availableParallelism());
    this.#spaces ??= await ThreadEncoder.reserve(options, workers);
    this.#last = await ThreadEncoder.create(options, this.#spaces, onFailed);
    return this.#last;
  }

  /** Leaves no thread behind. */
  async close(): Promise<void> {
    await this.#last?.close(sessionClosed('the agent ends'));
    this.#last = undefined;
  }
}
