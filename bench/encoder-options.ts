import type { EncoderOptions } from '../primary/pipeline/epoch-encoder.ts';
import { secretBytes } from '../shared/codec/codec-settings.ts';
import { Random } from '../shared/random.ts';

const mib = 2 ** 20;

/** What the primary uses by default, for a guest of so many pages. */
export function defaultEncoder(pageCount: number): EncoderOptions {
  return {
    pageCount,
    blockBytes: 64,
    hash: 'xxh3',
    secret: benchSecret(),
    generalCodec: 'lz4',
    sharing: true,
    compression: true,
    delta: true,
    captureBytes: 32 * mib,
    keptBytes: 32 * mib,
    chunkBytes: 512 * 1024,
  };
}

/** The same in each run, so that runs can be compared. */
export function benchSecret(): Uint8Array {
  const random = new Random(192);
  return Uint8Array.from({ length: secretBytes }, () => random.below(256));
}
