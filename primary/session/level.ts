import { type AlarmClock, turn } from '../../shared/clock.ts';
import {
  asDigests,
  differingDigests,
  regionDigestsOf,
  regionPages,
} from '../../shared/codec/region-digest.ts';
import type { GuestMemory } from '../../shared/memory/guest-memory.ts';
import { PageSet } from '../../shared/page-set.ts';
import type { CaptureSlots } from '../capture/capture-slots.ts';
import type { PageEncoder } from '../pipeline/page-encoder.ts';

/** Digests of what the backup holds, asked over the wire. */
export interface PeerDigests {
  /** One digest a region, of the whole RAM. */
  regions(): Promise<BigUint64Array>;
  /** One digest a page. */
  pages(first: number, count: number): Promise<BigUint64Array>;
}

/**
 * The pages in which the backup differs from RAM as it is read now. The encoder's hash index is
 * filled from it, and knows which pages those are. The guest may run: a page written since the
 * tracker was armed is captured again. `slots` must be empty, and is again afterwards. Throws what
 * `signal` was aborted with.
 */
export async function compareRam(
  memory: GuestMemory,
  slots: CaptureSlots,
  encoder: PageEncoder,
  peer: PeerDigests,
  clock: AlarmClock,
  signal: AbortSignal,
): Promise<PageSet> {
  await indexMemory(memory, slots, encoder, clock, signal);
  const differing = await findDifferingPages(memory.pageCount, encoder, peer);
  encoder.forget(differing);
  return differing;
}

/** Slice by slice, holes skipped; yields to the event loop between slices. */
export async function indexMemory(
  memory: GuestMemory,
  slots: CaptureSlots,
  encoder: PageEncoder,
  clock: AlarmClock,
  signal: AbortSignal,
): Promise<void> {
  const adopt = async (): Promise<void> => {
    await encoder.adopt(slots.counts);
    slots.clear();
    await breathe(clock, signal);
  };
  let page = 0;
  while (page < memory.pageCount) {
    const run = memory.nextData(page) ?? { first: memory.pageCount, end: memory.pageCount };
    if (run.first > page) encoder.adoptZeros(page, run.first);
    for (page = run.first; page < run.end; ) {
      page = slots.captureRange(page, Math.min(run.end, page + slicePages - slots.count));
      if (slots.count >= slicePages || page < run.end) await adopt();
    }
  }
  await adopt();
}

/** Regions are compared first, then the pages of those regions that differ. */
async function findDifferingPages(
  pageCount: number,
  encoder: PageEncoder,
  peer: PeerDigests,
): Promise<PageSet> {
  const ours = asDigests(await encoder.pageDigests(0, pageCount));
  const differing = new PageSet(pageCount);
  for (const region of differingDigests(regionDigestsOf(ours), await peer.regions())) {
    const first = region * regionPages;
    const count = Math.min(regionPages, pageCount - first);
    const theirs = await peer.pages(first, count);
    for (const at of differingDigests(ours.subarray(first, first + count), theirs)) {
      differing.add(first + at);
    }
  }
  return differing;
}

/** 4 MiB at a time: under a millisecond of hashing before others get their turn. */
const slicePages = 1024;

export async function breathe(clock: AlarmClock, signal: AbortSignal): Promise<void> {
  await turn(clock);
  signal.throwIfAborted();
}
