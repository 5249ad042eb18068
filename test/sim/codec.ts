import { EpochDecoder } from '../../backup/decode/epoch-decoder.ts';
import { LocalEncoder } from '../../primary/pipeline/local-encoder.ts';
import type { PageEncoder } from '../../primary/pipeline/page-encoder.ts';
import { secretBytes } from '../../shared/codec/codec-settings.ts';
import { guestPageCount } from './counter-guest.ts';

const common = { pageCount: guestPageCount, blockBytes: 256, hash: 'xxh3' } as const;

/** The real kernels, with buffers of a small guest. */
export async function openEncoder(
  secret: Uint8Array,
  generalCodec: 'lz4' | 'none',
): Promise<PageEncoder> {
  return await LocalEncoder.create({
    ...{ ...common, secret },
    generalCodec,
    ...{ sharing: true, compression: true, delta: true },
    captureBytes: 32 * 4096,
    keptBytes: 8 * 4096,
    chunkBytes: 32 * 1024,
  });
}

/** Compiles them: that takes real time, once in a process. */
export async function warmUpKernels(): Promise<void> {
  const secret = new Uint8Array(secretBytes);
  await openEncoder(secret, 'none');
  await EpochDecoder.create({ ...common, secret });
}
