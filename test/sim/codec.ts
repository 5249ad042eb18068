import { EpochDecoder } from '../../backup/decode/epoch-decoder.ts';
import type { LiveRam } from '../../primary/pipeline/epoch-encoder.ts';
import { LocalEncoder } from '../../primary/pipeline/local-encoder.ts';
import type { PageEncoder } from '../../primary/pipeline/page-encoder.ts';
import { secretBytes } from '../../shared/codec/codec-settings.ts';
import { guestPageCount } from './counter-guest.ts';

const common = { pageCount: guestPageCount, blockBytes: 256, hash: 'xxh3' } as const;

/** The real kernels, with buffers of a small guest, whose `ram` they read again to share pages. */
export async function openEncoder(
  secret: Uint8Array,
  generalCodec: 'lz4' | 'none',
  ram: LiveRam,
): Promise<PageEncoder> {
  const options = {
    ...{ ...common, secret },
    generalCodec,
    ...{ sharing: true, compression: true, delta: true },
    captureBytes: 32 * 4096,
    keptBytes: 8 * 4096,
    chunkBytes: 32 * 1024,
  };
  return await LocalEncoder.create(options, ram);
}

/** Compiles them: that takes real time, once in a process. */
export async function warmUpKernels(): Promise<void> {
  const secret = new Uint8Array(secretBytes);
  await openEncoder(secret, 'none', { readRange() {} });
  await EpochDecoder.create({ ...common, secret });
}
