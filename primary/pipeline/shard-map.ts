/** 256 KiB: neighbours mostly stay together, and any few MiB that are hot reach all shards. */
export const shardRegionPages = 64;

/**
 * Which pages of RAM belong to which shard: regions of `shardRegionPages` go round the shards. A
 * page belongs to one shard for good, so nothing of it is ever known to two.
 */
export class ShardMap {
  readonly pageCount: number;
  readonly count: number;

  constructor(pageCount: number, count: number) {
    this.pageCount = pageCount;
    this.count = count;
  }

  shardOf(page: number): number {
    return Math.floor(page / shardRegionPages) % this.count;
  }

  /** Calls `visit` with each run of pages of `shard` within `first` to `end - 1`. */
  eachRun(
    shard: number,
    first: number,
    end: number,
    visit: (first: number, end: number) => void,
  ): void {
    if (first < 0 || end < first || end > this.pageCount) {
      throw new RangeError(`pages ${first} to ${end} are not in RAM`);
    }
    if (this.count === 1) {
      if (first < end) visit(first, end);
      return;
    }
    const stride = shardRegionPages * this.count;
    const round = Math.floor(first / stride) * stride;
    for (let at = round + shard * shardRegionPages; at < end; at += stride) {
      const from = Math.max(at, first);
      const to = Math.min(at + shardRegionPages, end);
      if (from < to) visit(from, to);
    }
  }
}
