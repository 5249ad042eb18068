import type { BlockBytes, BlockHash } from '../../shared/codec/codec-settings.ts';
import { createKernels, type Kernels } from '../../shared/codec/kernels.ts';

/** The secret that XXH3 uses where none is given (xxhash.h, `XXH3_kSecret`). */
export const defaultSecret = Uint8Array.from(
  Buffer.from(
    [
      'b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f',
      'cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c',
      '3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8',
      'a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364',
      'eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e',
      '2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e',
    ].join(''),
    'hex',
  ),
);

/** The secret that XXH3 derives from a seed (`XXH3_initCustomSecret`). */
export function seededSecret(seed: bigint): Uint8Array {
  const secret = defaultSecret.slice();
  const view = new DataView(secret.buffer);
  for (let i = 0; i < 192; i += 16) {
    view.setBigUint64(i, view.getBigUint64(i, true) + seed, true);
    view.setBigUint64(i + 8, view.getBigUint64(i + 8, true) - seed, true);
  }
  return secret;
}

export interface Fixture {
  readonly kernels: Kernels;
  readonly source: number;
  readonly packed: number;
  readonly restored: number;
  /** 64 KiB at `source`. */
  readonly input: Uint8Array;
}

/** Kernels with three buffers of 64 KiB. */
export async function createFixture(
  secret: Uint8Array = defaultSecret,
  blockBytes: BlockBytes = 64,
  hash: BlockHash = 'xxh3',
): Promise<Fixture> {
  const { kernels, regions } = await createKernels({ secret, blockBytes, hash }, (arena) => ({
    source: arena.reserve(1 << 16),
    packed: arena.reserve(1 << 16),
    restored: arena.reserve(1 << 16),
  }));
  return { kernels, ...regions, input: kernels.bytes(regions.source, 1 << 16) };
}
