import { EpochDecoder } from '../../backup/decode/epoch-decoder.ts';
import type { SessionCodec } from '../../primary/parts.ts';
import { EpochEncoder } from '../../primary/pipeline/epoch-encoder.ts';
import { secretBytes } from '../../shared/codec/codec-settings.ts';
import { PageDigester } from '../../shared/codec/page-digester.ts';
import { guestPageCount } from './counter-guest.ts';

const common = { pageCount: guestPageCount, blockBytes: 256, hash: 'xxh3' } as const;

/** The real kernels, with buffers of a small guest. */
export async function openCodec(
  secret: Uint8Array,
  generalCodec: 'lz4' | 'none',
): Promise<SessionCodec> {
  const settings = { ...common, secret };
  const encoder = await EpochEncoder.create({
    ...settings,
    generalCodec,
    ...{ sharing: true, compression: true, delta: true },
    captureBytes: 32 * 4096,
    keptBytes: 8 * 4096,
    chunkBytes: 32 * 1024,
  });
  return { encoder, digester: await PageDigester.create(settings) };
}

/** Compiles them: that takes real time, once in a process. */
export async function warmUpKernels(): Promise<void> {
  const secret = new Uint8Array(secretBytes);
  await openCodec(secret, 'none');
  await EpochDecoder.create({ ...common, secret });
}
