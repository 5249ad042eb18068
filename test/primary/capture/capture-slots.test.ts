import test from 'ava';
import { CaptureSlots } from '../../../primary/capture/capture-slots.ts';
import { SyntheticMemory } from '../../../shared/guest/synthetic-memory.ts';
import { PageSet } from '../../../shared/page-set.ts';
import { Random } from '../../../shared/random.ts';

const pageCount = 256;

function setOf(pages: Iterable<number>): PageSet {
  const set = new PageSet(pageCount);
  for (const page of pages) set.add(page);
  return set;
}

/** Slots of as many shards as there are capacities; pages go round them by fours. */
function makeSlots(...capacities: readonly number[]) {
  const memory = new SyntheticMemory(pageCount * 4096);
  const shardOf = (page: number): number => (page >> 2) % capacities.length;
  const shards = capacities.map((capacity) => ({
    captureBuffer: new Uint8Array(capacity * 4096),
    captureCapacityPages: capacity,
    capturePages: new Uint32Array(capacity),
  }));
  const slots = new CaptureSlots(memory, { shards, shardOf });
  /** What has left the buffer, and what is in it: the newest value of each page. */
  const sent = new Map<number, number>();
  const take = (count: number): void => {
    const seen = new Set<number>();
    for (const [shard, { captureBuffer, capturePages }] of shards.entries()) {
      for (let slot = 0; slot < slots.counts[shard]!; slot++) {
        const page = capturePages[slot]!;
        if (seen.has(page)) throw new Error(`page ${page} is in two slots`);
        if (shardOf(page) !== shard) throw new Error(`page ${page} is in a foreign shard`);
        seen.add(page);
        const bytes = Buffer.from(captureBuffer.buffer, slot * 4096, 4096);
        sent.set(page, bytes.readUInt32LE(8));
      }
    }
    if (seen.size !== count) throw new Error(`${seen.size} pages are called ${count}`);
  };
  return { memory, slots, sent, take };
}

test('a page captured again is copied over its slot, never into a second one', async (t) => {
  const { memory, slots, sent, take } = makeSlots(8);
  memory.write32(3, 8, 1);
  memory.write32(4, 8, 1);
  await slots.capture(setOf([3, 4]), async () => t.fail('there was room'));
  memory.write32(4, 8, 2);
  memory.write32(9, 8, 2);
  await slots.capture(setOf([4, 9]), async () => t.fail('there was room'));
  t.is(slots.count, 3);
  take(slots.count);
  t.deepEqual([...sent.entries()].sort(), [
    [3, 1],
    [4, 2],
    [9, 2],
  ]);
});

test('captures of any pages in any order leave the newest copy of each, once', async (t) => {
  for (let seed = 1; seed <= 25; seed++) {
    const random = new Random(seed);
    const { memory, slots, sent, take } = makeSlots(
      ...Array.from({ length: 1 + random.below(3) }, () => 1 + random.below(40)),
    );
    const expected = new Map<number, number>();
    for (let round = 0; round < 12; round++) {
      const pages = new Set<number>();
      for (let i = random.below(60); i > 0; i--) pages.add(random.below(pageCount));
      for (const page of pages) {
        const value = seed * 1000 + round;
        memory.write32(page, 8, value);
        expected.set(page, value);
      }
      await slots.capture(setOf(pages), async (count) => take(count));
      if (random.below(4) === 0) {
        take(slots.count);
        slots.clear();
      }
    }
    take(slots.count);
    t.deepEqual(
      [...sent].sort(([a], [b]) => a - b),
      [...expected].sort(([a], [b]) => a - b),
      `seed ${seed}`,
    );
  }
});

test('a range is captured as far as its shards have room', async (t) => {
  const { memory, slots, sent, take } = makeSlots(8, 8);
  for (let page = 0; page < pageCount; page++) memory.write32(page, 8, page + 1);
  for (let page = 10; page < 100; ) {
    page = slots.captureRange(page, 100);
    t.true(slots.count > 0);
    take(slots.count);
    slots.clear();
  }
  const expected = Array.from({ length: 90 }, (_, i) => [10 + i, 11 + i]);
  t.deepEqual(
    [...sent].sort(([a], [b]) => a! - b!),
    expected,
  );
});
