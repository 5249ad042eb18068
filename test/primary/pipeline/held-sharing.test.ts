import test, { type ExecutionContext } from 'ava';
import type { EncoderOptions } from '../../../primary/pipeline/epoch-encoder.ts';
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
import { fillPage, pageKinds } from './guest-pages.ts';
import { writeSome } from './some-writes.ts';

const { pageCount } = smallOptions;
const allPages = Array.from({ length: pageCount }, (_, page) => page);

/** A guest whose pages 0 to 99 are random and cold, and all others zeros, as the backup holds them. */
async function openGuest(options: Partial<EncoderOptions> = {}) {
  const guest = new ArrayMemory(pageCount);
  const pair = await createPair({ ...smallOptions, ...options }, guest);
  const random = new Random(31);
  random.fill(guest.bytes.subarray(0, 100 * pageBytes));
  const { encoder, replica, digester } = pair;
  encoder.adoptZeros(0, pageCount);
  for (let first = 0; first < 100; first += 50) {
    guest.readRange(first, 50, encoder.captureBuffer, 0);
    encoder.capturePages.set(allPages.slice(first, first + 50));
    encoder.adopt(50);
  }
  replica.ram.bytes.set(guest.bytes);
  digester.digestRange(guest, 0, pageCount, replica.digests);
  let number = 0;
  const send = (t: ExecutionContext, pages: readonly number[]) => {
    const { payloads, ramDigest, stats } = encodeEpoch(pair.encoder, ++number, guest, pages);
    for (const payload of payloads) pair.replica.decode(payload);
    pair.replica.commit();
    t.is(pair.replica.ramDigest(), ramDigest);
    t.true(Buffer.from(pair.replica.ram.bytes).equals(guest.bytes), `epoch ${number}`);
    return stats;
  };
  return { ...pair, guest, random, send, next: () => epoch(++number) };
}

const copy = (guest: ArrayMemory, from: number, to: number) => guest.page(to).set(guest.page(from));

for (const blockBytes of [64, 128, 256] as const) {
  test(`a copy of a cold page costs next to nothing: blocks of ${blockBytes}`, async (t) => {
    const { guest, send } = await openGuest({ blockBytes });
    for (let i = 0; i < 50; i++) copy(guest, 2 * i, 150 + i);
    const stats = send(t, allPages.slice(150, 200));
    const blocks = 50 * (pageBytes / blockBytes);
    // What the table had no room for is not found.
    t.true(stats.sharedHeldBlocks >= 0.9 * blocks, `${stats.sharedHeldBlocks} of ${blocks}`);
    t.true(stats.chunkBytes < 5 * pageBytes + 50 * 24, `${stats.chunkBytes} bytes`);
  });
}

test('a page that has halves of two pages refers to both', async (t) => {
  const { guest, send } = await openGuest();
  for (let i = 0; i < 20; i++) {
    guest.page(150 + i).set(guest.page(i).subarray(0, 768));
    guest.page(150 + i).set(guest.page(50 + i).subarray(768), 768);
  }
  const stats = send(t, allPages.slice(150, 170));
  t.true(stats.sharedHeldBlocks > 0.75 * 20 * 64, `${stats.sharedHeldBlocks}`);
});

test('one epoch may have more segments than are told apart', async (t) => {
  const { encoder, guest, random, replica, next } = await openGuest();
  for (let round = 0; round < 3; round++) {
    encoder.begin(next());
    const payloads: Uint8Array[] = [];
    for (let segment = 0; segment < 140; segment++) {
      const to = 100 + random.below(156);
      copy(guest, random.below(256), to);
      if (segment % 3 === 0) random.fill(guest.page(random.below(100)));
      payloads.push(...encodeSegment(encoder, guest, [to]));
    }
    payloads.push(...encodeSegment(encoder, guest, allPages));
    const { ramDigest, stats } = encoder.finish();
    for (const payload of payloads) replica.decode(payload);
    replica.commit();
    t.is(replica.ramDigest(), ramDigest);
    t.true(Buffer.from(replica.ram.bytes).equals(guest.bytes), `round ${round}`);
    t.true(stats.sharedHeldBlocks > 0);
  }
});

test('pages that were sent are sources as well', async (t) => {
  const { guest, random, send } = await openGuest();
  for (let page = 100; page < 150; page++) random.fill(guest.page(page));
  t.is(send(t, allPages).sharedHeldBlocks, 0);
  for (let page = 100; page < 150; page++) copy(guest, page, page + 100);
  // Where nothing was found for long, one page in four is sought until one is found.
  t.true(send(t, allPages).sharedHeldBlocks >= 45 * 64);
});

test('in a first synchronisation pages of earlier segments are referred to', async (t) => {
  const { encoder, guest, random, send } = await openGuest();
  const unknown = new PageSet(pageCount);
  for (const page of allPages) unknown.add(page);
  encoder.forget(unknown);
  random.fill(guest.bytes.subarray(0, 64 * pageBytes));
  for (let i = 0; i < 50; i++) copy(guest, i, 200 + i);
  const stats = send(t, allPages);
  t.true(stats.sharedHeldBlocks >= 45 * 64, `${stats.sharedHeldBlocks}`);
});

test('a source that was rewritten before its copy is captured is not referred to', async (t) => {
  const { encoder, guest, random, replica, send, next } = await openGuest();
  for (let i = 0; i < 10; i++) copy(guest, i, 150 + i);
  for (let i = 0; i < 9; i++) random.fill(guest.page(i));
  random.fill(guest.page(9).subarray(2048));
  encoder.begin(next());
  const payloads = encodeSegment(encoder, guest, allPages.slice(150, 160));
  const { stats } = encoder.finish();
  t.is(stats.sharedHeldBlocks, 32, 'only what is still as the backup holds it');
  for (const payload of payloads) replica.decode(payload);
  replica.commit();
  t.deepEqual(replica.ram.page(159), guest.page(159));
  t.deepEqual(replica.ram.page(150), guest.page(150));
  send(t, allPages.slice(0, 10));
});

test('a source that is in the same epoch, before, with or behind its copy, is right', async (t) => {
  const { encoder, guest, random, replica, send, next } = await openGuest();
  // In one segment: page 50 is encoded behind its copy and as it was, 51 changed, 3 and 4 before theirs.
  for (const page of [50, 51]) copy(guest, page, page - 40);
  random.fill(guest.page(51));
  random.fill(guest.page(3));
  copy(guest, 3, 150);
  copy(guest, 4, 151);
  random.fill(guest.page(4));
  const { sharedHeldBlocks } = send(t, [3, 4, 10, 11, 50, 51, 150, 151]);
  t.is(sharedHeldBlocks, 64, 'page 10 only');
  // In segments: what the first one sent can be referred to as staged, and is sent once more.
  encoder.begin(next());
  const payloads: Uint8Array[] = [];
  random.fill(guest.page(60));
  payloads.push(...encodeSegment(encoder, guest, [60]));
  copy(guest, 60, 20);
  payloads.push(...encodeSegment(encoder, guest, [20, 60]));
  copy(guest, 60, 21);
  random.fill(guest.page(60));
  copy(guest, 60, 160);
  payloads.push(...encodeSegment(encoder, guest, [21, 60, 160]));
  const { stats, ramDigest } = encoder.finish();
  for (const payload of payloads) replica.decode(payload);
  replica.commit();
  t.is(replica.ramDigest(), ramDigest);
  t.true(Buffer.from(replica.ram.bytes).equals(guest.bytes));
  t.is(stats.sharedHeldBlocks, 64, 'page 20, when 60 still had it');
});

test('a page that the backup may not hold is no source', async (t) => {
  const { encoder, guest, random, replica, send } = await openGuest();
  const lost = new PageSet(pageCount);
  for (let page = 0; page < 10; page++) {
    lost.add(page);
    random.fill(replica.ram.page(page));
    copy(guest, page, 150 + page);
  }
  encoder.forget(lost);
  const stats = send(t, allPages.slice(0, 10).concat(allPages.slice(150, 160)));
  t.is(stats.sharedHeldBlocks, 0);
});

test('RAM that can not be read costs bytes and nothing else', async (t) => {
  const { encoder, guest, replica, random } = await openGuest();
  const gone = {
    readRange: () => {
      throw new Error('it was cut');
    },
  };
  const { encoder: blind } = await createPair(smallOptions, gone);
  t.is(blind.memoryBytes, encoder.memoryBytes);
  blind.adoptZeros(0, pageCount);
  for (let number = 1; number <= 3; number++) {
    const { payloads, stats } = encodeEpoch(blind, number, guest, allPages);
    for (const payload of payloads) replica.decode(payload);
    replica.commit();
    t.is(stats.sharedHeldBlocks, 0);
    t.true(Buffer.from(replica.ram.bytes).equals(guest.bytes));
    for (let i = 0; i < 20; i++) copy(guest, random.below(100), 100 + random.below(100));
  }
});

test('a chunk has as many sources as it may, and the next one goes on', async (t) => {
  const pages = 4096;
  const options = { ...smallOptions, pageCount: pages, captureBytes: 2048 * pageBytes };
  const guest = new ArrayMemory(pages);
  const { encoder, replica } = await createPair({ ...options, chunkBytes: 512 << 10 }, guest);
  new Random(8).fill(guest.bytes.subarray(0, 2048 * pageBytes));
  encoder.adoptZeros(0, pages);
  const list = Array.from({ length: 2048 }, (_, page) => page);
  for (const payload of encodeEpoch(encoder, 1, guest, list).payloads) replica.decode(payload);
  replica.commit();
  guest.bytes.copyWithin(2048 * pageBytes, 0, 2048 * pageBytes);
  const copies = list.map((page) => page + 2048);
  const { payloads, stats } = encodeEpoch(encoder, 2, guest, copies);
  for (const payload of payloads) replica.decode(payload);
  replica.commit();
  t.true(Buffer.from(replica.ram.bytes).equals(guest.bytes));
  t.true(stats.sharedHeldBlocks > 0.9 * 2048 * 64, `${stats.sharedHeldBlocks}`);
});

test('whatever is copied where, what is decoded is the guest’s memory', async (t) => {
  for (const blockBytes of [64, 256] as const) {
    const { encoder, guest, random, replica, next } = await openGuest({ blockBytes });
    const dirty = new Set<number>(allPages);
    let held = 0;
    for (let round = 1; round <= 60; round++) {
      const epochNumber = next();
      encoder.begin(epochNumber);
      const payloads: Uint8Array[] = [];
      for (let segment = 0; segment < 3; segment++) {
        for (const page of writeSome(guest, random)) dirty.add(page);
        for (let i = 0; i < 12; i++) {
          const to = random.below(pageCount);
          const at = random.below(3) * 1024;
          const from = guest.page(random.below(pageCount));
          if (i % 3 > 0) guest.page(to).set(from);
          else guest.page(to).set(from.subarray(at, at + 1024), random.below(3) * 1024);
          dirty.add(to);
        }
        // A live round takes some of them, the last one all.
        const list = [...dirty].sort((a, b) => a - b).filter(() => random.below(4) > 1);
        const taken = segment === 2 ? [...dirty].sort((a, b) => a - b) : list;
        for (const page of taken) dirty.delete(page);
        payloads.push(...encodeSegment(encoder, guest, taken));
      }
      const { ramDigest, stats } = encoder.finish();
      for (const payload of payloads) replica.decode(payload);
      replica.commit();
      t.is(replica.ramDigest(), ramDigest);
      if (!Buffer.from(replica.ram.bytes).equals(guest.bytes)) t.fail(`round ${round} differs`);
      held += stats.sharedHeldBlocks;
      if (round % 10 > 0) continue;
      const page = random.below(pageCount);
      fillPage(pageKinds[round % pageKinds.length]!, guest.page(page), random);
      random.fill(replica.ram.page(page));
      const lost = new PageSet(pageCount);
      lost.add(page);
      dirty.add(page);
      encoder.forget(lost);
    }
    t.true(held > 1000, `${held} blocks of ${blockBytes}`);
  }
});
