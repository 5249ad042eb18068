import { SyntheticGuest } from '../shared/guest/synthetic-guest.ts';
import { fillPage, type PageKind } from '../shared/guest/workload/page-content.ts';
import { type GuestName, pageBytes } from '../shared/ids.ts';
import { Random } from '../shared/random.ts';

/** `pageCount` pages as they follow each other in a fresh guest, without the holes. */
export function guestPages(pageCount: number): Uint8Array {
  // Three times as many: 54 % are zero, most of them holes, give or take a run in a small guest.
  const memoryBytes = Math.max(4096, pageCount * 3) * pageBytes;
  const name = 'bench' as GuestName;
  const { memory } = new SyntheticGuest({ name, memoryBytes, seed: 3, workloads: [] });
  const data = new Uint8Array(pageCount * pageBytes);
  let done = 0;
  let run = memory.nextData(0);
  while (run !== undefined && done < pageCount) {
    const count = Math.min(pageCount - done, run.end - run.first);
    memory.readRange(run.first, count, data, done * pageBytes);
    done += count;
    run = memory.nextData(run.end);
  }
  if (done < pageCount) throw new Error(`the guest has only ${done} pages that are not holes`);
  return data;
}

/** `pageCount` pages of one kind. */
export function pagesOf(kind: PageKind, pageCount: number): Uint8Array {
  const bytes = new Uint8Array(pageCount * pageBytes);
  const words = new Uint32Array(bytes.buffer);
  const random = new Random(5);
  for (let at = 0; at < bytes.length; at += pageBytes) fillPage(kind, random, bytes, words, at);
  return bytes;
}
