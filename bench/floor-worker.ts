/** A thread of `thread-floor.ts`: it does the work it is told for so long, and says how much it did. */
import { parentPort } from 'node:worker_threads';
import { compressGroup } from '../shared/codec/general.ts';
import { pagesOf } from './guest-data.ts';
import type { FloorTask, FloorWork } from './thread-floor.ts';

const kib = 1024;
/** A group of log lines, as the encoder packs it: input and output stay in a core's own cache. */
const text = pagesOf('text', 64);
const packed = new Uint8Array(512 * kib);
/** Far more than the caches hold. */
const large = new Uint8Array(64 * kib * kib).fill(1);
const copy = new Uint8Array(large.length).fill(2);
const copyBytes = 256 * kib;
let copiedTo = 0;
let state = 1;

const works: Record<FloorWork, () => void> = {
  lz4: () => void compressGroup('lz4', text, packed, 0),
  arithmetic: () => {
    for (let i = 0; i < 100_000; i++) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
    }
  },
  copy: () => {
    copy.set(large.subarray(copiedTo, copiedTo + copyBytes), copiedTo);
    copiedTo = (copiedTo + copyBytes) % large.length;
  },
};

parentPort!.on('message', ({ work, ms }: FloorTask) => {
  const startedAt = performance.now();
  let turns = 0;
  let tookMs = 0;
  for (; tookMs < ms; tookMs = performance.now() - startedAt) {
    works[work]();
    turns += 1;
  }
  // `state` is read, so that its loop is not left out.
  parentPort!.postMessage({ rate: turns / tookMs, state });
});
