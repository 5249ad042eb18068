import { createKernels } from '../../shared/codec/kernels.ts';
import { pageBytes } from '../../shared/ids.ts';

const rounds = 1500;

/**
 * Runs the decoder's kernels until the compiler has finished with them: the first calls are ten
 * times slower, and compiled code is shared by all instances.
 */
export async function warmUp(): Promise<void> {
  const settings = { blockBytes: 64, hash: 'xxh3', secret: new Uint8Array(192) } as const;
  const { kernels, regions } = await createKernels(settings, (arena) => ({
    plain: arena.reserve(pageBytes),
    packed: arena.reserve(2 * pageBytes),
    records: arena.reserve(40),
    stamps: arena.reserve(64),
    digests: arena.reserve(64),
  }));
  const { run } = kernels;
  const { plain, packed } = regions;
  const words = kernels.words(plain, pageBytes / 4);
  for (let i = 0; i < words.length; i += 3) words[i] = Math.imul(i, 0x9e3779b1) >>> (i % 32);
  const wkdmEnd = run.wkdmEncode(plain, words.length, packed);
  for (let i = 0; i < rounds; i++) run.wkdmDecode(packed, wkdmEnd, words.length, plain);
  const zeroRunEnd = run.zeroRunEncode(plain, pageBytes / 64, packed);
  for (let i = 0; i < rounds; i++) run.zeroRunDecode(packed, zeroRunEnd, pageBytes / 64, plain);
  // Page 0, stored whole: distance 0, then method 4 and "all blocks changed".
  kernels.bytes(packed, 2).set([0, 4 | 8]);
  run.initDecode(1, regions.records, plain, plain, regions.stamps);
  for (let i = 0; i < rounds; i++) {
    run.decodeHeads(packed, packed + 2, 1);
    run.decodeBodies(packed, packed + pageBytes, 1, 0, plain);
    run.digestImages(plain, 1, regions.digests);
  }
}
