import test from 'ava';
import { xxhash3, xxhash64 } from 'hash-wasm';
import { digest64 } from '../../shared/codec/digest.ts';
import { Random } from '../primary/pipeline/codec-fixture.ts';
import { createFixture, defaultSecret, seededSecret } from './kernel-fixture.ts';

const unsigned = (value: bigint): bigint => BigInt.asUintN(64, value);
const lengths = [64, 128, 256, 512];

/** Computed with xxhash.h 0.8.1 (Debian libxxhash-dev), for the input and the secret below. */
const published: Record<number, { xxh3: bigint; withSecret: bigint; xxh64: bigint }> = {
  64: {
    xxh3: 0x80114145a41323f6n,
    withSecret: 0x7ad9f923ca197434n,
    xxh64: 0x6b2265b24843d78cn,
  },
  128: {
    xxh3: 0xac10ffe4cb8a8d43n,
    withSecret: 0xefda5bd1ee8a9d70n,
    xxh64: 0x133c489c63345cden,
  },
  256: {
    xxh3: 0xe4f99e3f75bcea54n,
    withSecret: 0x70d755bf27c4a199n,
    xxh64: 0xcd9695aa639199ccn,
  },
  512: {
    xxh3: 0x73478b9ee1fde929n,
    withSecret: 0x32217df14f1e2640n,
    xxh64: 0xa435c87f1c759a6bn,
  },
};
const knownInput = Uint8Array.from({ length: 512 }, (_, i) => (i * i * 31 + i * 7 + 13) % 251);
const knownSecret = Uint8Array.from({ length: 192 }, (_, i) => i * i * 17 + i * 91 + 5);

test('XXH3 and XXH64 equal the published functions, with the default secret', async (t) => {
  const { kernels, source, input } = await createFixture();
  input.set(knownInput);
  for (const length of lengths) {
    t.is(unsigned(kernels.run.xxh3(source, length)), published[length]!.xxh3);
    t.is(unsigned(kernels.run.xxh64(source, length)), published[length]!.xxh64);
  }
});

test('XXH3 equals the published function with a secret of our own', async (t) => {
  const { kernels, source, input } = await createFixture(knownSecret);
  input.set(knownInput);
  for (const length of lengths) {
    t.is(unsigned(kernels.run.xxh3(source, length)), published[length]!.withSecret);
  }
});

test('XXH3 equals another implementation on random blocks, for many secrets', async (t) => {
  const random = new Random(11);
  for (let round = 0; round < 40; round++) {
    const low = random.next();
    const high = random.next();
    // With a seed, XXH3 uses a secret derived from it: for these lengths, and no other seed.
    const secret = seededSecret((BigInt(high) << 32n) | BigInt(low));
    const { kernels, source, input } = await createFixture(secret);
    for (const length of lengths) {
      const at = 64 * random.below(512);
      random.fill(input.subarray(at, at + length));
      const expected = await xxhash3(input.slice(at, at + length), low, high);
      t.is(unsigned(kernels.run.xxh3(source + at, length)), BigInt(`0x${expected}`));
    }
  }
});

test('XXH3 of a batch equals another implementation where products are extreme', async (t) => {
  const random = new Random(13);
  const { kernels, source, input, packed, restored } = await createFixture();
  const secret = new Uint32Array(defaultSecret.slice(0, 64).buffer);
  // What the secret turns into products of these: nothing, all ones, a lowest and a highest bit.
  const halves = [0, 0xffffffff, 1, 0x80000000];
  // A block's vectors in the order in which the secret's are applied to them.
  const placeOf = [0, 12, 4, 8];
  const words = new Uint32Array(input.buffer, input.byteOffset, 1024);
  for (let round = 0; round < 4; round++) {
    for (let i = 0; i < words.length; i += 16) {
      for (let j = 0; j < 16; j++) {
        const at = placeOf.indexOf(j & 12) * 4 + (j & 3);
        words[i + j] = secret[at]! ^ halves[random.below(round === 0 ? 2 : 4)]!;
      }
    }
    kernels.run.identifyPages(source, packed, 1, restored);
    const row = new BigUint64Array(kernels.memory.buffer, packed, 64);
    for (let block = 0; block < 64; block++) {
      const expected = await xxhash3(input.slice(block * 64, block * 64 + 64));
      t.is(row[block], BigInt(`0x${expected}`));
    }
  }
});

test('XXH64 equals two other implementations on random blocks', async (t) => {
  const random = new Random(12);
  const { kernels, source, input } = await createFixture();
  for (let round = 0; round < 100; round++) {
    for (const length of lengths) {
      const at = 64 * random.below(512);
      random.fill(input.subarray(at, at + length));
      const block = input.slice(at, at + length);
      const ours = unsigned(kernels.run.xxh64(source + at, length));
      t.is(ours, digest64(block));
      t.is(ours, BigInt(`0x${await xxhash64(block)}`));
    }
  }
});

for (const hash of ['xxh3', 'xxh64'] as const) {
  for (const blockBytes of [64, 128, 256] as const) {
    test(`a batch call marks just the blocks that changed: ${hash}, ${blockBytes}`, async (t) => {
      const fixture = await createFixture(defaultSecret, blockBytes, hash);
      const { kernels, source, input, packed, restored } = fixture;
      const random = new Random(blockBytes);
      const blocks = 4096 / blockBytes;
      random.fill(input);
      kernels.run.identifyPages(source, packed, 16, restored);
      const rows = kernels.bytes(packed, 16 * blocks * 8);
      const view = new DataView(rows.buffer, rows.byteOffset, rows.byteLength);
      for (let block = 0; block < 16 * blocks; block++) {
        const at = source + block * blockBytes;
        const one = hash === 'xxh3' ? kernels.run.xxh3 : kernels.run.xxh64;
        t.is(view.getBigUint64(block * 8, true), unsigned(one(at, blockBytes)));
      }
      for (let round = 0; round < 50; round++) {
        const before = input.slice();
        for (let i = random.below(30); i > 0; i--) {
          input[random.below(input.length)]! ^= 1 << random.below(8);
        }
        kernels.run.identifyPages(source, packed, 16, restored);
        const bitmaps = new BigUint64Array(kernels.memory.buffer, restored, 16);
        for (let page = 0; page < 16; page++) {
          let expected = 0n;
          for (let block = 0; block < blocks; block++) {
            const at = page * 4096 + block * blockBytes;
            const isEqual = Buffer.compare(
              before.subarray(at, at + blockBytes),
              input.subarray(at, at + blockBytes),
            );
            if (isEqual !== 0) expected |= 1n << BigInt(block);
          }
          t.is(bitmaps[page], expected);
        }
      }
    });

    test(`a page digest is XXH3 over the block hashes: ${hash}, ${blockBytes}`, async (t) => {
      const { kernels, source, input, packed } = await createFixture(
        defaultSecret,
        blockBytes,
        hash,
      );
      new Random(5).fill(input.subarray(0, 4096));
      const digest = unsigned(kernels.run.hashPage(source, packed));
      const row = kernels.bytes(packed, (4096 / blockBytes) * 8).slice();
      t.is(digest, BigInt(`0x${await xxhash3(row)}`));
    });
  }
}
