import { HotSpotWorkload } from './hot-spot.ts';
import { KeyValueWorkload } from './key-value.ts';
import { RandomWorkload } from './random-writes.ts';
import { SequentialWorkload } from './sequential.ts';
import { TextWorkload } from './text.ts';
import type { Region, Workload } from './workload.ts';
import { ZeroingWorkload } from './zeroing.ts';

export type WorkloadName = keyof typeof workloads;

const workloads = {
  /** Fills page after page with new structures, round and round. */
  sequential: (region: Region) => new SequentialWorkload(region),
  /** Writes eight bytes anywhere. */
  random: (region: Region) => new RandomWorkload(region),
  /** Writes up to 64 bytes; which page is drawn by Zipf's law. */
  'hot-spot': (region: Region) => new HotSpotWorkload(region),
  /** A store like Redis: small records updated in place, buffers, an append-only log. */
  'key-value': (region: Region) => new KeyValueWorkload(region),
  /** Takes pages into use and gives them back zeroed. */
  zeroing: (region: Region) => new ZeroingWorkload(region),
  /** Appends lines to a log that wraps round. */
  text: (region: Region) => new TextWorkload(region),
} as const satisfies Record<string, (region: Region) => Workload>;

export const workloadNames = Object.keys(workloads) as WorkloadName[];

/** Pages that the smallest region of any workload needs. */
export const regionPagesMin = 16;

export function makeWorkload(name: WorkloadName, region: Region): Workload {
  if (region.pageCount < regionPagesMin) {
    throw new RangeError(`workload ${name} needs ${regionPagesMin} pages, not ${region.pageCount}`);
  }
  return workloads[name](region);
}
