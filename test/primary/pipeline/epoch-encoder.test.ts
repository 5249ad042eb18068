import test from 'ava';
import { type EncoderOptions, EpochEncoder } from '../../../primary/pipeline/epoch-encoder.ts';
import { asDigests } from '../../../shared/codec/region-digest.ts';
import { epoch, pageBytes } from '../../../shared/ids.ts';
import { PageSet } from '../../../shared/page-set.ts';
import {
  ArrayMemory,
  createPair,
  encodeEpoch,
  encodeSegment,
  Random,
  smallOptions,
} from './codec-fixture.ts';
import { fillPage, type PageKind } from './guest-pages.ts';

const allPages = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

test('only the blocks that changed are sent', async (t) => {
  const { encoder, replica } = await createPair({
    ...smallOptions,
    sharing: false,
    captureBytes: 256 * pageBytes,
  });
  const guest = new ArrayMemory(256);
  const random = new Random(1);
  random.fill(guest.bytes);
  for (const payload of encodeEpoch(encoder, 1, guest, allPages(256)).payloads) {
    replica.decode(payload);
  }
  replica.commit();
  guest.page(3)[70] = guest.page(3)[70]! ^ 1;
  guest.page(200)[4095] = guest.page(200)[4095]! ^ 1;
  encoder.begin(epoch(2));
  const payloads = encodeSegment(encoder, guest, allPages(256));
  const { stats } = encoder.finish();
  t.is(stats.changedPages, 2);
  t.is(stats.changedBlocks, 2);
  t.is(payloads.length, 1);
  t.true(payloads[0]!.length < 32 + 2 * (64 + 16));
  t.is(stats.chunkBytes, payloads[0]!.length);
});

test('an unknown page is sent whole although nothing in it changed', async (t) => {
  const { encoder } = await createPair(smallOptions);
  const guest = new ArrayMemory(256);
  encoder.adoptZeros(0, 256);
  t.is(encodeEpoch(encoder, 1, guest, [1, 2]).payloads.length, 0);
  const lost = new PageSet(256);
  lost.add(2);
  encoder.forget(lost);
  encoder.begin(epoch(2));
  encodeSegment(encoder, guest, [1, 2]);
  const { stats } = encoder.finish();
  t.is(stats.changedPages, 1);
  t.is(stats.changedBlocks, 64);
});

test('with whole pages, all of each captured page is sent as it is, and arrives', async (t) => {
  const { encoder, replica } = await createPair({
    ...smallOptions,
    ...{ wholePages: true, sharing: false, compression: false, delta: false },
  });
  const guest = new ArrayMemory(256);
  new Random(5).fill(guest.page(1));
  for (const number of [1, 2]) {
    const { payloads, stats } = encodeEpoch(encoder, number, guest, [1, 2, 3]);
    t.is(stats.changedPages, 3, 'also those in which nothing changed');
    t.is(stats.changedBlocks, 3 * 64);
    t.true(stats.chunkBytes >= 3 * pageBytes);
    for (const payload of payloads) replica.decode(payload);
    replica.commit();
  }
  t.deepEqual(replica.ram.page(1), guest.page(1));
});

test('equal blocks are sent once, zero blocks not at all', async (t) => {
  const { encoder } = await createPair(smallOptions);
  const guest = new ArrayMemory(256);
  new Random(2).fill(guest.page(0));
  for (let page = 1; page < 32; page++) guest.page(page).set(guest.page(0));
  encoder.begin(epoch(1));
  const payloads = encodeSegment(encoder, guest, allPages(64));
  const { stats } = encoder.finish();
  t.is(stats.sharedBlocks, 31 * 64);
  t.is(stats.zeroBlocks, 32 * 64);
  const bytes = payloads.reduce((sum, payload) => sum + payload.length, 0);
  t.true(bytes < 4096 + 64 * 12, `${bytes} bytes`);
});

test('content that a hot page had before the epoch is referred to, not sent', async (t) => {
  const { encoder, replica } = await createPair(smallOptions);
  const guest = new ArrayMemory(256);
  const random = new Random(4);
  for (let number = 1; number <= 3; number++) {
    random.fill(guest.page(7));
    for (const payload of encodeEpoch(encoder, number, guest, [7]).payloads) {
      replica.decode(payload);
    }
    replica.commit();
  }
  // The page moves: its old place, which comes later in the segment, gets something else.
  guest.page(5).set(guest.page(7));
  random.fill(guest.page(7));
  encoder.begin(epoch(4));
  const payloads = encodeSegment(encoder, guest, [5, 7]);
  const { stats } = encoder.finish();
  t.is(stats.sharedBeforeBlocks, 64);
  for (const payload of payloads) replica.decode(payload);
  replica.commit();
  t.true(Buffer.from(replica.ram.bytes).equals(guest.bytes));
});

test('a small change in a dense hot page costs a few bytes', async (t) => {
  const { encoder } = await createPair(smallOptions);
  const guest = new ArrayMemory(256);
  const random = new Random(4);
  random.fill(guest.page(7));
  let last = { pages: 0, bytesIn: 0, bytesOut: 0 };
  for (let number = 1; number <= 6; number++) {
    for (let block = 0; block < 64; block++) guest.page(7)[block * 64 + 9]! += 1;
    encoder.begin(epoch(number));
    encodeSegment(encoder, guest, [7]);
    last = encoder.finish().stats.delta;
  }
  t.deepEqual(last, { pages: 1, bytesIn: 4096, bytesOut: 64 * 3 });
});

test('an epoch that was left between two of its chunks can never be finished', async (t) => {
  const { encoder } = await createPair({ ...smallOptions, chunkBytes: 16 << 10 });
  const guest = new ArrayMemory(256);
  new Random(6).fill(guest.bytes);
  encoder.begin(epoch(1));
  encoder.capturePages.set(allPages(64));
  guest.copyPages(encoder.capturePages, 64, encoder.captureBuffer, 0);
  const chunks = encoder.encode(64);
  chunks.next();
  t.throws(() => encoder.finish(), { message: /not encoded to its end/ });
  chunks.return();
  t.throws(() => encoder.finish(), { message: /not encoded to its end/ });
  t.throws(() => encoder.begin(epoch(2)), { message: /not finished/ });
});

test('pages that differ from what was captured last are found, and no others', async (t) => {
  const { encoder } = await createPair(smallOptions);
  const guest = new ArrayMemory(256);
  new Random(8).fill(guest.bytes);
  encoder.adoptZeros(0, 256);
  encodeEpoch(encoder, 1, guest, allPages(64));
  guest.page(9)[4095]! ^= 1;
  guest.page(40)[0]! ^= 1;
  encoder.capturePages.set(allPages(64));
  guest.copyPages(encoder.capturePages, 64, encoder.captureBuffer, 0);
  t.deepEqual(encoder.differing(64), [9, 40]);
  t.deepEqual(encoder.differing(40), [9]);
});

test('epochs are numbered upwards', async (t) => {
  const encoder = await EpochEncoder.create(smallOptions);
  encoder.begin(epoch(3));
  encoder.finish();
  t.throws(() => encoder.begin(epoch(3)), { message: /cannot follow/ });
});

test('a page outside RAM, too many pages and calls out of order are refused', async (t) => {
  const encoder = await EpochEncoder.create(smallOptions);
  t.throws(() => [...encoder.encode(1)], { message: /no epoch/ });
  t.throws(() => encoder.finish(), { message: /no epoch/ });
  encoder.begin(epoch(3));
  t.throws(() => encoder.begin(epoch(4)), { message: /not finished/ });
  encoder.capturePages[0] = 256;
  t.throws(() => [...encoder.encode(1)], { instanceOf: RangeError });
  t.throws(() => [...encoder.encode(65)], { instanceOf: RangeError });
  t.throws(() => encoder.finish(), { message: /not encoded to its end/ });
  encoder.capturePages.set([254, 255, 256]);
  t.throws(() => encoder.adopt(3), { instanceOf: RangeError });
  t.throws(() => encoder.adopt(65), { instanceOf: RangeError });
  t.throws(() => encoder.adoptZeros(0, 257), { instanceOf: RangeError });
  await t.throwsAsync(EpochEncoder.create({ ...smallOptions, chunkBytes: 4096 }));
});

test('a guest whose index does not fit is refused with a way out', async (t) => {
  const options = { ...smallOptions, pageCount: (40 * 2 ** 30) / pageBytes };
  const error = await t.throwsAsync(EpochEncoder.create(options), {
    code: 'E_GUEST_TOO_LARGE',
  });
  t.regex((error as unknown as { hint: string }).hint, /larger blocks/);
});

test('memory stays within a quarter of guest RAM plus 200 MiB', async (t) => {
  for (const mib of [64, 512]) {
    const encoder = await EpochEncoder.create({
      ...smallOptions,
      pageCount: mib * 256,
      captureBytes: 32 << 20,
      keptBytes: 32 << 20,
      chunkBytes: 512 << 10,
    });
    t.true(encoder.memoryBytes < (mib / 4) * 2 ** 20 + (200 << 20));
  }
});

test('the same pages give the same chunks', async (t) => {
  const run = async (): Promise<Uint8Array[]> => {
    const { encoder } = await createPair(smallOptions);
    const guest = new ArrayMemory(256);
    const random = new Random(9);
    const all: Uint8Array[] = [];
    for (let number = 1; number <= 5; number++) {
      for (let page = 0; page < 64; page++) fillPage('records', guest.page(page), random);
      all.push(...encodeEpoch(encoder, number, guest, allPages(64)).payloads);
    }
    return all;
  };
  t.true(Buffer.concat(await run()).equals(Buffer.concat(await run())));
});

test('pages adopted as they are give the digests of a scan', async (t) => {
  const { encoder, digester } = await createPair(smallOptions);
  const guest = new ArrayMemory(256);
  new Random(3).fill(guest.bytes.subarray(0, 100 * pageBytes));
  encoder.adoptZeros(0, 256);
  for (let first = 0; first < 100; first += 50) {
    guest.readRange(first, 50, encoder.captureBuffer, 0);
    encoder.capturePages.set(Array.from({ length: 50 }, (_, i) => first + i));
    encoder.adopt(50);
  }
  const table = new Uint8Array(256 * 8);
  digester.digestRange(guest, 0, 256, table);
  t.true(Buffer.from(encoder.pageDigests(0, 256)).equals(table));
  t.is(encoder.ramDigest(), digester.foldRoot(table));
  // Nothing is unknown any more, and nothing changed.
  t.is(encodeEpoch(encoder, 1, guest, allPages(256)).payloads.length, 0);
});

test('an encoder that knows RAM by its digests alone goes on from it', async (t) => {
  const { encoder: before, replica } = await createPair(smallOptions);
  const guest = new ArrayMemory(256);
  const random = new Random(11);
  for (let page = 0; page < 256; page += 2) random.fill(guest.page(page));
  for (const payload of encodeEpoch(before, 1, guest, allPages(256)).payloads) {
    replica.decode(payload);
  }
  replica.commit();
  const known = asDigests(before.pageDigests(0, 256).slice());
  const ramDigest = before.ramDigest();
  // What goes on before does not change what was known then.
  encodeEpoch(before, 2, new ArrayMemory(256), allPages(256));

  const { encoder } = await createPair(smallOptions);
  encoder.adoptDigests(known);
  t.is(encoder.ramDigest(), ramDigest);
  // Changed, became zeros, was zeros, is the same, is zeros still.
  guest.page(4)[9]! ^= 1;
  guest.page(6).fill(0);
  random.fill(guest.page(7));
  const { payloads, stats, ...after } = encodeEpoch(encoder, 1, guest, [4, 6, 7, 8, 9]);
  t.is(stats.changedPages, 4, 'what is unknown is sent whole, zeros are known');
  for (const payload of payloads) replica.decode(payload);
  replica.commit();
  t.is(replica.ramDigest(), after.ramDigest);
  t.deepEqual(Buffer.from(replica.ram.bytes), Buffer.from(guest.bytes));
});

test('each kind of page is sent by the method that is cheapest for it', async (t) => {
  const methodOf = async (kind: PageKind, options: Partial<EncoderOptions> = {}) => {
    const { encoder } = await createPair({ ...smallOptions, sharing: false, ...options });
    const guest = new ArrayMemory(256);
    const random = new Random(12);
    encoder.begin(epoch(1));
    for (let page = 0; page < 64; page++) fillPage(kind, guest.page(page), random);
    encodeSegment(encoder, guest, allPages(64));
    const { stats } = encoder.finish();
    const methods = ['zeroRun', 'delta', 'wkdm', 'stored', 'general'] as const;
    return methods.reduce((a, b) => (stats[a].pages >= stats[b].pages ? a : b));
  };
  t.is(await methodOf('zero'), 'zeroRun');
  t.is(await methodOf('sparse'), 'zeroRun');
  t.is(await methodOf('equal'), 'wkdm');
  t.is(await methodOf('text'), 'general');
  t.is(await methodOf('random'), 'stored');
  t.is(await methodOf('pointers', { generalCodec: 'none' }), 'wkdm');
  // The faster the link, the less time may a codec take for a byte less.
  t.is(await methodOf('pointers', { generalCodec: 'gzip' }), 'wkdm');
  t.is(await methodOf('pointers', { linkBytesPerSecond: 400e6 }), 'wkdm');
});

test('a hot page that became something else is not sent as a difference', async (t) => {
  const { encoder } = await createPair({ ...smallOptions, sharing: false });
  const guest = new ArrayMemory(256);
  const random = new Random(13);
  for (let number = 1; number <= 3; number++) {
    random.fill(guest.page(1));
    encodeEpoch(encoder, number, guest, [1]);
  }
  fillPage('sparse', guest.page(1), random);
  const { stats } = encodeEpoch(encoder, 4, guest, [1]);
  t.is(stats.delta.pages, 0);
  t.is(stats.zeroRun.pages, 1);
});

test('of more hot pages than can be kept, some stay kept', async (t) => {
  const { encoder, replica } = await createPair({ ...smallOptions, sharing: false });
  const guest = new ArrayMemory(256);
  new Random(15).fill(guest.bytes.subarray(0, 64 * pageBytes));
  let deltas = 0;
  for (let number = 1; number <= 120; number++) {
    // Half of 64 pages in turn, where 16 can be kept.
    const pages = allPages(32).map((page) => page + (number % 2) * 32);
    for (const page of pages) {
      for (let block = 0; block < 64; block++) guest.page(page)[block * 64 + 9]! += 1;
    }
    const { payloads, stats } = encodeEpoch(encoder, number, guest, pages);
    for (const payload of payloads) replica.decode(payload);
    replica.commit();
    if (number > 80) deltas += stats.delta.pages;
  }
  t.true(Buffer.from(replica.ram.bytes).equals(guest.bytes));
  t.true(deltas / (40 * 32) > 0.08, `${deltas} pages went as differences`);
});

test('equal blocks are found again after a long time without any', async (t) => {
  const { encoder } = await createPair(smallOptions);
  const guest = new ArrayMemory(256);
  const random = new Random(14);
  let number = 0;
  const share = (isCopied: boolean): number => {
    random.fill(guest.bytes.subarray(0, 64 * pageBytes));
    for (let page = 1; isCopied && page < 64; page++) guest.page(page).set(guest.page(0));
    const { stats } = encodeEpoch(encoder, ++number, guest, allPages(64));
    return stats.sharedBlocks / stats.changedBlocks;
  };
  for (let i = 0; i < 10; i++) t.is(share(false), 0);
  // Even then whole copies are found: by one block in eight and those that follow it.
  t.true(share(true) > 0.9);
  for (let i = 0; i < 5; i++) share(true);
  t.true(share(true) > 0.98);
});
