import { setTimeout as sleep } from 'node:timers/promises';
import { CaptureSlots } from '../primary/capture/capture-slots.ts';
import { takeCheckpoint } from '../primary/capture/checkpoint.ts';
import type { DirtyTracker } from '../primary/capture/tracker.ts';
import { WrittenPages } from '../primary/capture/written-pages.ts';
import { monotonicClock } from '../shared/clock.ts';
import type { Guest } from '../shared/guest/guest.ts';
import { PageSet } from '../shared/page-set.ts';

/** One pause taken apart: each part alone, one after the other. */
export interface FloorRound {
  readonly stop: number;
  readonly scan: number;
  readonly copy: number;
  readonly device: number;
  readonly resume: number;
  readonly dirtyPages: number;
}

export interface PauseRounds {
  /** Pauses of the real checkpoint. */
  readonly pauseMs: readonly number[];
  readonly dirtyPages: readonly number[];
  /** Floors, each taken one epoch after the pause of the same place. */
  readonly floors: readonly FloorRound[];
}

/** What a pause cannot do without: the sum of its parts. */
export const floorMs = ({ stop, scan, copy, device, resume }: FloorRound): number =>
  stop + scan + copy + device + resume;

const epochMs = 100;
const warmUpRounds = 5;
/** More than any epoch of these guests: nothing is ever drained inside the pause. */
const bufferPages = 64 * 1024;

/** Takes turns on one guest: an epoch that ends in a checkpoint, one that ends in a floor. */
export async function measurePauses(
  guest: Guest,
  tracker: DirtyTracker,
  rounds: number,
): Promise<PauseRounds> {
  const dirty = new PageSet(guest.memory.pageCount);
  const buffer = {
    captureBuffer: new Uint8Array(bufferPages * 4096).fill(1),
    captureCapacityPages: bufferPages,
    capturePages: new Uint32Array(bufferPages),
  };
  const pauseMs: number[] = [];
  const dirtyPages: number[] = [];
  const floors: FloorRound[] = [];
  const written = new WrittenPages(tracker, guest.memory.pageCount);
  const slots = new CaptureSlots(guest.memory, { shards: [buffer], shardOf: () => 0 });
  tracker.arm();
  for (let round = 0; round < warmUpRounds + rounds; round++) {
    await sleep(epochMs);
    const checkpoint = await takeCheckpoint({
      ...{ guest, written, slots, clock: monotonicClock, withBaseline: false },
      drain: () => Promise.reject(new Error('an epoch did not fit the buffer')),
    });
    slots.clear();
    await sleep(epochMs);
    const floor = await measureFloor(guest, tracker, buffer, dirty);
    if (round < warmUpRounds) continue;
    pauseMs.push(checkpoint.pauseMs);
    dirtyPages.push(checkpoint.copiedPages);
    floors.push(floor);
  }
  return { pauseMs, dirtyPages, floors };
}

async function measureFloor(
  guest: Guest,
  tracker: DirtyTracker,
  buffer: { readonly captureBuffer: Uint8Array; readonly capturePages: Uint32Array },
  dirty: PageSet,
): Promise<FloorRound> {
  dirty.clear();
  const startedAt = performance.now();
  await guest.pause();
  const stoppedAt = performance.now();
  try {
    tracker.collect(dirty);
    const scannedAt = performance.now();
    const count = dirty.take(0, buffer.capturePages);
    guest.memory.copyPages(buffer.capturePages, count, buffer.captureBuffer, 0);
    const copiedAt = performance.now();
    await guest.saveDeviceState();
    const savedAt = performance.now();
    await guest.resume();
    return {
      stop: stoppedAt - startedAt,
      scan: scannedAt - stoppedAt,
      copy: copiedAt - scannedAt,
      device: savedAt - copiedAt,
      resume: performance.now() - savedAt,
      dirtyPages: count,
    };
  } finally {
    dirty.clear();
  }
}
