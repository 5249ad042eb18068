import { rmSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { EpochDecoder } from '../../../backup/decode/epoch-decoder.ts';
import { CaptureSlots } from '../../../primary/capture/capture-slots.ts';
import type { EncoderOptions } from '../../../primary/pipeline/epoch-encoder.ts';
import { ThreadEncoder, type ThreadSpace } from '../../../primary/pipeline/thread-encoder.ts';
import { PageDigester } from '../../../shared/codec/page-digester.ts';
import { asDigests } from '../../../shared/codec/region-digest.ts';
import { UnderstudyError } from '../../../shared/errors.ts';
import { epoch, pageBytes } from '../../../shared/ids.ts';
import { RamFile } from '../../../shared/memory/ram-file.ts';
import { PageSet } from '../../../shared/page-set.ts';
import { ArrayMemory, Random, secretFor, smallOptions, TestReplica } from './codec-fixture.ts';
import { writeSome } from './some-writes.ts';

const { pageCount } = smallOptions;

/** An encoder in threads with a guest before it and a replica behind it. */
async function openPair(
  t: ExecutionContext,
  threads: number,
  more: Partial<EncoderOptions> = {},
  earlier?: readonly ThreadSpace[],
) {
  const options = { ...smallOptions, ...more };
  let tell: (error: UnderstudyError) => void = () => {};
  const failed = new Promise<UnderstudyError>((resolve) => {
    tell = resolve;
  });
  const spaces = earlier ?? (await ThreadEncoder.reserve(options, threads));
  const encoder = await ThreadEncoder.create(options, spaces, tell);
  t.teardown(() => encoder.close(new Error('the test is over')));
  const digester = await PageDigester.create(options);
  const replica = new TestReplica(pageCount, await EpochDecoder.create(options), digester);
  const guest = new ArrayMemory(pageCount);
  const slots = new CaptureSlots(guest, encoder);
  const drain = async (): Promise<void> => {
    for await (const payload of encoder.encode(slots.counts)) {
      if (payload.length > options.chunkBytes) throw new Error('a chunk is too long');
      // As a stream does: it takes the bytes, and others get their turn before it asks for more.
      const taken = payload.slice();
      await new Promise((resolve) => setImmediate(resolve));
      replica.decode(taken);
    }
    slots.clear();
  };
  return {
    ...{ encoder, replica, guest, slots, digester, failed, drain, spaces },
    send: async (pages: Iterable<number>): Promise<void> => {
      await slots.capture(setOf(pages), drain);
      await drain();
    },
  };
}

function setOf(pages: Iterable<number>): PageSet {
  const set = new PageSet(pageCount);
  for (const page of pages) set.add(page);
  return set;
}

const allPages = Array.from({ length: pageCount }, (_, page) => page);

for (const threads of [1, 3]) {
  test(`what ${threads} threads encode is the guest's memory, epoch after epoch`, async (t) => {
    const { encoder, replica, guest, send, digester } = await openPair(t, threads);
    const random = new Random(77 + threads);
    random.fill(guest.bytes.subarray(0, 100 * pageBytes));
    for (let number = 1; number <= 25; number++) {
      encoder.begin(epoch(10 * number));
      await send(number === 1 ? allPages : writeSome(guest, random));
      // A second segment, with pages of the first one in it.
      await send(writeSome(guest, random));
      const { ramDigest, stats } = await encoder.finish();
      t.is(stats.chunks > 0, stats.changedPages > 0);
      replica.commit();
      if (!Buffer.from(replica.ram.bytes).equals(guest.bytes)) t.fail(`epoch ${number} differs`);
      t.is(replica.ramDigest(), ramDigest);
      if (number % 5 > 0) continue;
      // Damage on the backup, found by comparing digests.
      const lost = [random.below(pageCount), random.below(pageCount)];
      for (const page of lost) random.fill(replica.ram.page(page));
      encoder.forget(setOf(lost));
      encoder.begin(epoch(10 * number + 1));
      await send(lost);
      await encoder.finish();
      replica.commit();
      t.true(Buffer.from(replica.ram.bytes).equals(guest.bytes), `mended after ${number}`);
    }
    const table = new Uint8Array(pageCount * 8);
    digester.digestRange(guest, 0, pageCount, table);
    t.deepEqual(Buffer.from(await encoder.pageDigests(0, pageCount)), Buffer.from(table));
    t.deepEqual(
      Buffer.from(await encoder.pageDigests(60, 70)),
      Buffer.from(table.subarray(60 * 8, 130 * 8)),
    );
  });
}

test('pages adopted by threads are known, and those that change later are found', async (t) => {
  const { encoder, guest, slots, digester, send } = await openPair(t, 3);
  new Random(3).fill(guest.bytes.subarray(0, 150 * pageBytes));
  encoder.adoptZeros(150, pageCount);
  for (let page = 0; page < 150; ) {
    page = slots.captureRange(page, 150);
    await encoder.adopt(slots.counts);
    slots.clear();
  }
  const table = new Uint8Array(pageCount * 8);
  digester.digestRange(guest, 0, pageCount, table);
  t.deepEqual(Buffer.from(await encoder.pageDigests(0, pageCount)), Buffer.from(table));
  for (const page of [5, 64, 128]) guest.page(page)[9]! += 1;
  slots.captureRange(0, 10);
  t.deepEqual(await encoder.differing(slots.counts), [5]);
  slots.clear();
  slots.captureRange(120, 136);
  t.deepEqual(await encoder.differing(slots.counts), [128]);
  slots.clear();
  encoder.begin(epoch(1));
  await send(allPages);
  const { stats, ramDigest } = await encoder.finish();
  t.is(stats.changedPages, 3);
  t.is(stats.changedBlocks, 3);
  digester.digestRange(guest, 0, pageCount, table);
  t.is(ramDigest, digester.foldRoot(table));
});

test('an epoch without a page, or with pages of one shard, has the digest of all RAM', async (t) => {
  const { encoder, guest, replica, send } = await openPair(t, 3);
  new Random(9).fill(guest.bytes);
  for (const [at, pages] of [allPages, [], [70], [], [1, 2], allPages].entries()) {
    for (const page of pages) guest.page(page)[at]! += 1;
    encoder.begin(epoch(1 + at));
    t.throws(() => encoder.begin(epoch(100)), { message: /not finished/ });
    await send(pages);
    const { ramDigest, stats } = await encoder.finish();
    t.is(stats.changedPages, pages.length);
    replica.commit();
    t.is(replica.ramDigest(), ramDigest);
  }
  t.true(Buffer.from(replica.ram.bytes).equals(guest.bytes));
  await t.throwsAsync(encoder.finish(), { message: /no epoch is open/ });
});

test('in memory that another session had, nothing of that one is left', async (t) => {
  const first = await openPair(t, 2);
  const random = new Random(21);
  for (const number of [1, 2, 3]) {
    random.fill(first.guest.bytes);
    first.encoder.begin(epoch(number));
    await first.send(allPages);
    await first.encoder.finish();
  }
  // In the middle of an epoch, by force.
  random.fill(first.guest.bytes);
  first.encoder.begin(epoch(4));
  first.slots.captureRange(0, 60);
  const chunks = first.encoder.encode(first.slots.counts);
  t.false((await chunks.next()).done);
  await first.encoder.close(new Error('it is over'));
  await t.throwsAsync(chunks.next(), { message: 'it is over' });
  const second = await openPair(t, 2, { secret: secretFor(8) }, first.spaces);
  const fresh = await openPair(t, 2, { secret: secretFor(8) });
  for (const number of [1, 2, 3, 4]) {
    if (number > 1) writeSome(second.guest, random);
    fresh.guest.bytes.set(second.guest.bytes);
    const digests: bigint[] = [];
    for (const { encoder, replica, guest, send } of [second, fresh]) {
      encoder.begin(epoch(number));
      await send(allPages);
      const { ramDigest, stats } = await encoder.finish();
      digests.push(ramDigest, BigInt(stats.chunkBytes), BigInt(stats.sharedBeforeBlocks));
      replica.commit();
      t.is(replica.ramDigest(), ramDigest);
      t.true(Buffer.from(replica.ram.bytes).equals(guest.bytes), `epoch ${number}`);
    }
    t.deepEqual(digests.slice(0, 3), digests.slice(3), 'as in new memory');
  }
});

test('RAM that threads know by its digests alone goes on from there', async (t) => {
  const { encoder, guest, replica, digester, send } = await openPair(t, 3);
  new Random(5).fill(guest.bytes.subarray(0, 150 * pageBytes));
  replica.ram.bytes.set(guest.bytes);
  digester.digestRange(guest, 0, pageCount, replica.digests);
  await encoder.adoptDigests(asDigests(replica.digests));
  guest.page(5)[9]! += 1;
  guest.page(70).fill(0);
  guest.page(200)[1] = 1;
  encoder.begin(epoch(1));
  await send([5, 70, 200, 201]);
  const { ramDigest } = await encoder.finish();
  replica.commit();
  t.is(replica.ramDigest(), ramDigest);
  t.true(Buffer.from(replica.ram.bytes).equals(guest.bytes));
});

test('threads refer to cold pages of the RAM file, and do without a file that is gone', async (t) => {
  const ramFile = `/dev/shm/understudy-threads-${process.pid}-${Date.now()}`;
  const ram = RamFile.create(ramFile, pageCount * pageBytes);
  t.teardown(() => ram.remove());
  const run = async () => {
    const { encoder, guest, replica, send } = await openPair(t, 2, { ramFile });
    const sendAll = async (number: number, pages: readonly number[]) => {
      ram.writePages(Uint32Array.from(allPages), pageCount, guest.bytes, 0);
      encoder.begin(epoch(number));
      await send(pages);
      const { stats, ramDigest } = await encoder.finish();
      replica.commit();
      t.is(replica.ramDigest(), ramDigest);
      t.true(Buffer.from(replica.ram.bytes).equals(guest.bytes));
      return stats.sharedHeldBlocks;
    };
    new Random(5).fill(guest.bytes.subarray(0, 128 * pageBytes));
    await sendAll(1, allPages);
    // Pages 0 to 63 and 128 to 191 are of the same shard.
    guest.bytes.copyWithin(128 * pageBytes, 0, 64 * pageBytes);
    return await sendAll(2, allPages.slice(128));
  };
  t.true((await run()) > 0.8 * 64 * 64);
  // Its name, that is: whoever has it open has it still.
  rmSync(ramFile);
  t.is(await run(), 0);
});

test('an epoch during which a thread dies is never finished', async (t) => {
  const { encoder, slots, send, guest } = await openPair(t, 2);
  new Random(5).fill(guest.bytes);
  encoder.begin(epoch(1));
  await send([1, 2, 3]);
  slots.captureRange(60, 100);
  encoder.shards[1]!.capturePages[7] = pageCount;
  const died = { code: 'E_ENCODER_WORKER' };
  const encodeAll = async (): Promise<void> => {
    for await (const _ of encoder.encode(slots.counts));
  };
  await t.throwsAsync(encodeAll(), died);
  await t.throwsAsync(encoder.finish(), { message: /not encoded to its end/ });
  await t.throwsAsync(encoder.pageDigests(0, 1), died);
  await t.throwsAsync(encoder.adopt(slots.counts), died);
});

test('a thread that dies while nobody waits for it is told of', async (t) => {
  const { encoder, failed, send } = await openPair(t, 2);
  encoder.begin(epoch(1));
  await send([1, 2, 100]);
  encoder.adoptZeros(0, pageCount + 1);
  const error = await failed;
  t.is(error.code, 'E_ENCODER_WORKER');
  t.regex(error.message, /not in RAM/);
  await t.throwsAsync(encoder.finish(), { is: error });
});

test('whoever waits for an encoder that is closed is told why', async (t) => {
  const { encoder, guest, slots } = await openPair(t, 2, { chunkBytes: 16 << 10 });
  new Random(6).fill(guest.bytes);
  encoder.begin(epoch(1));
  slots.captureRange(0, 60);
  const chunks = encoder.encode(slots.counts);
  t.false((await chunks.next()).done);
  const why = new UnderstudyError('E_TEST', 'it is over', { hint: '' });
  const asked = encoder.pageDigests(0, pageCount).catch((error: unknown) => error);
  await encoder.close(why);
  await t.throwsAsync(chunks.next(), { is: why });
  const answer = await asked;
  t.true(answer === why || answer instanceof Uint8Array);
  await t.throwsAsync(encoder.finish());
  await encoder.close(why);
});

test('an epoch of which chunks were left behind is never finished', async (t) => {
  const { encoder, guest, slots } = await openPair(t, 1, { chunkBytes: 16 << 10 });
  new Random(6).fill(guest.bytes);
  encoder.begin(epoch(1));
  slots.captureRange(0, 8);
  for await (const _ of encoder.encode(slots.counts)) break;
  await t.throwsAsync(encoder.finish(), { message: /not encoded to its end/ });
  await t.throwsAsync(encoder.encode(slots.counts).next(), { message: /a segment is open/ });
});
