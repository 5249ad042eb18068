import test from 'ava';
import { ShardMap, shardRegionPages } from '../../../primary/pipeline/shard-map.ts';

test('each page is in the runs of its own shard, once, and in no others', (t) => {
  const pageCount = 10 * shardRegionPages + 7;
  for (const count of [1, 2, 3, 8, 16]) {
    const map = new ShardMap(pageCount, count);
    const ranges = [
      [0, pageCount],
      [shardRegionPages - 1, shardRegionPages + 1],
      [5, 5],
      [3 * shardRegionPages + 5, 9 * shardRegionPages],
      [pageCount - 1, pageCount],
    ] as const;
    for (const [first, end] of ranges) {
      const seen = new Map<number, number>();
      for (let shard = 0; shard < count; shard++) {
        map.eachRun(shard, first, end, (from, to) => {
          t.true(from < to);
          for (let page = from; page < to; page++) {
            t.false(seen.has(page));
            seen.set(page, shard);
          }
        });
      }
      t.is(seen.size, end - first);
      for (const [page, shard] of seen) t.is(map.shardOf(page), shard);
    }
    t.throws(() => map.eachRun(0, 0, pageCount + 1, () => {}), { instanceOf: RangeError });
  }
});
