import { digest64 } from '../../shared/codec/digest.ts';
import { createKernels, type Kernels } from '../../shared/codec/kernels.ts';
import { pageBytes } from '../../shared/ids.ts';
import { benchSecret } from '../encoder-options.ts';
import { guestPages } from '../guest-data.ts';
import { NativeBaseline } from '../native-baseline.ts';
import { type Contender, race, repeated } from '../race.ts';
import { compareRows, type Row } from '../row.ts';
import type { Suite, SuiteOptions } from '../suite.ts';

const blockBytes = 64;

/** Identification: each 64-byte block hashed and compared with the hash that was stored. */
export const hashSuite: Suite = {
  name: 'hash',
  title: 'Hash and compare',
  about: `Each 64-byte block of 64 MiB of a synthetic guest's pages (more than the processor's
cache) is hashed, compared with the stored hash, and the stored one replaced; a bitmap of changed
blocks comes out for each page. "One call a batch" is one call into WASM for 256 pages. The native
loops are C, -O3 -march=native, with Debian's xxhash.h, on 256 pages at a time; contenders
take turns round by round.`,
  rowIds: ['hash.xxh3-batch', 'hash.xxh3-batch-native'],
  run: async ({ quick, progress }: SuiteOptions): Promise<Row[]> => {
    const data = guestPages((quick ? 4 : 64) * 256);
    progress('hash: compiling the native baseline');
    const native = await NativeBaseline.start(data);
    try {
      const contenders = [
        native.contender('copy', 'memcpy, native'),
        native.contender('compare', 'Compare with a copy, no hash, native'),
        native.contender('xxh3', 'XXH3, native loop'),
        await batch('xxh3', data),
        await batch('xxh64', data),
        oneCallABlock(data),
      ];
      const rows = await race(contenders, { rounds: quick ? 3 : 15, roundMs: quick ? 20 : 150 });
      const ours = rows.find(({ id }) => id === 'hash.xxh3-batch')!;
      const loop = rows.find(({ id }) => id === 'native.xxh3')!;
      const again = { id: 'hash.xxh3-batch-native', what: `${ours.what}, against native` };
      return [...rows, { ...ours, ...again, against: compareRows(ours, loop) }];
    } finally {
      await native.stop();
    }
  },
};

const batchPages = 256;

async function batch(hash: 'xxh3' | 'xxh64', data: Uint8Array): Promise<Contender> {
  const pageCount = data.length / pageBytes;
  const settings = { blockBytes: 64 as const, hash, secret: benchSecret() };
  const { kernels, regions } = await createKernels(settings, (arena) => ({
    images: arena.reserve(data.length),
    rows: arena.reserve((data.length / blockBytes) * 8),
    bitmaps: arena.reserve(pageCount * 8),
  }));
  kernels.bytes(regions.images, data.length).set(data);
  checkBatch(kernels, regions, pageCount);
  let first = 0;
  const run = (): void => {
    kernels.run.identifyPages(
      regions.images + first * pageBytes,
      regions.rows + first * (pageBytes / blockBytes) * 8,
      batchPages,
      regions.bitmaps + first * 8,
    );
    first = (first + batchPages) % pageCount;
  };
  return repeated({
    id: `hash.${hash}-batch`,
    what: `${hash.toUpperCase()}, one call a batch`,
    unit: 'GB/s',
    work: batchPages * pageBytes,
    against: 'hash.xxhash-wasm-block',
    run,
  });
}

interface Regions {
  readonly images: number;
  readonly rows: number;
  readonly bitmaps: number;
}

/** A kernel that does nothing is fast: one changed byte must show in its block and nowhere else. */
function checkBatch(kernels: Kernels, at: Regions, pageCount: number): void {
  const bitmaps = kernels.words(at.bitmaps, pageCount * 2);
  kernels.run.identifyPages(at.images, at.rows, pageCount, at.bitmaps);
  kernels.bytes(at.images, 1)[0]! ^= 1;
  kernels.run.identifyPages(at.images, at.rows, pageCount, at.bitmaps);
  if (bitmaps[0] !== 1 || bitmaps.subarray(1).some((word) => word !== 0)) {
    throw new Error('identifyPages did not find the one block that changed');
  }
}

/** As many as take about a millisecond. */
const callBlocks = 4096;

/** What a program does that calls the npm package for every block. */
function oneCallABlock(data: Uint8Array): Contender {
  const stored = new BigUint64Array(data.length / blockBytes);
  const changed = new Uint8Array(stored.length);
  let block = 0;
  const run = (): void => {
    for (const end = block + callBlocks; block < end; block++) {
      const hash = digest64(data.subarray(block * blockBytes, (block + 1) * blockBytes));
      changed[block] = hash === stored[block] ? 0 : 1;
      stored[block] = hash;
    }
    block %= stored.length;
  };
  return repeated({
    id: 'hash.xxhash-wasm-block',
    what: 'xxhash-wasm (XXH64), one call a block',
    unit: 'GB/s',
    work: callBlocks * blockBytes,
    run,
  });
}
