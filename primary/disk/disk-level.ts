import { type AlarmClock, sleep } from '../../shared/clock.ts';
import {
  differingDigests,
  regionDigestsOf,
  regionPages,
} from '../../shared/codec/region-digest.ts';
import type { DigestSettings } from '../../shared/disk/disk-control.ts';
import { diskPageCount } from '../../shared/disk/disk-pages.ts';
import type { DiskServer } from '../../shared/disk/disk-server.ts';
import { pageBytes } from '../../shared/ids.ts';
import type { EmitEvent } from '../../shared/observe/events.ts';
import type { DiskDigestsRequest } from '../../shared/wire/disk-digest-body.ts';
import type { ChangeStream } from './change-stream.ts';

export interface DiskLevelParts {
  readonly server: DiskServer;
  readonly stream: ChangeStream;
  /** Of the session, under a secret that the guest does not know. */
  readonly settings: DigestSettings;
  /** Asks the backup. */
  readonly ask: (request: DiskDigestsRequest) => Promise<BigUint64Array>;
  readonly clock: AlarmClock;
  readonly emit: EmitEvent;
  readonly closed: AbortSignal;
  /** Bytes of the disks that are sent in a second at most; null: as fast as they go. */
  readonly bytesPerSecond: number | null;
}

/** Pages whose digests are compared at once: 64 MiB of a disk. */
export const stretchPages = 16 * regionPages;
/** Pages that are read and logged at once. */
const slicePages = 128;

/**
 * Brings the backup's disks level beside the guest: digests of regions are compared, then those
 * of the pages of regions that differ, and what differs is logged as it is. Changes are logged
 * already, so whatever the guest writes meanwhile comes before or after in one order. What an
 * interrupted comparison has sent need not be sent again, because its digests are equal then.
 */
export async function levelDisks(parts: DiskLevelParts): Promise<void> {
  for (const [disk, sizeBytes] of parts.server.sizes.entries()) {
    await levelDisk(parts, disk, sizeBytes);
  }
}

async function levelDisk(parts: DiskLevelParts, disk: number, sizeBytes: number): Promise<void> {
  const { clock, emit } = parts;
  const startedAtMs = clock.nowMs();
  const pageCount = diskPageCount(sizeBytes);
  let sentBytes = 0;
  const tell = (phase: 'started' | 'progress' | 'done', comparedBytes: number): void => {
    const syncMs = clock.nowMs() - startedAtMs;
    emit({ kind: 'disk-sync', phase, disk, sizeBytes, comparedBytes, sentBytes, syncMs });
  };
  tell('started', 0);
  let toldAtMs = startedAtMs;
  for (let first = 0; first < pageCount; first += stretchPages) {
    const count = Math.min(stretchPages, pageCount - first);
    const differing = await differingPages(parts, { disk, first, count });
    for (let at = 0; at < differing.length; at += slicePages) {
      const slice = differing.subarray(at, at + slicePages);
      await sendPages(parts, disk, slice);
      sentBytes += slice.length * pageBytes;
      await pace(parts, sentBytes, startedAtMs);
    }
    if (clock.nowMs() - toldAtMs >= tellEveryMs) {
      toldAtMs = clock.nowMs();
      tell('progress', Math.min(sizeBytes, (first + count) * pageBytes));
    }
  }
  tell('done', sizeBytes);
}

const tellEveryMs = 5000;

/** Logs pages as they are; they are in the stream when this resolves. */
export async function sendPages(
  { server, stream, closed }: DiskLevelParts,
  disk: number,
  pages: Uint32Array,
): Promise<void> {
  for (let at = 0; at < pages.length; at += slicePages) {
    closed.throwIfAborted();
    await server.copy(disk, pages.subarray(at, at + slicePages));
    await stream.settled();
  }
}

/** Pages of a stretch, at most `stretchPages` long, whose digests are not the backup's. */
export async function differingPages(
  parts: DiskLevelParts,
  stretch: { disk: number; first: number; count: number },
): Promise<Uint32Array> {
  const { server, settings, ask, closed } = parts;
  const { disk, first, count } = stretch;
  closed.throwIfAborted();
  const request = { kind: 'disk-digests-request', disk } as const;
  const regionCount = Math.ceil(count / regionPages);
  const [ours, theirs] = await Promise.all([
    server.digests({ disk, first, count }, settings),
    ask({ ...request, of: 'regions', first: first / regionPages, count: regionCount }),
  ]);
  const found: number[] = [];
  for (const region of differingDigests(regionDigestsOf(ours), theirs)) {
    const from = region * regionPages;
    const own = ours.subarray(from, from + regionPages);
    const there = await ask({ ...request, of: 'pages', first: first + from, count: own.length });
    for (const page of differingDigests(own, there)) found.push(first + from + page);
  }
  return Uint32Array.from(found);
}

/** Waits until as much may have been sent as was. */
async function pace(parts: DiskLevelParts, sentBytes: number, startedAtMs: number): Promise<void> {
  const { bytesPerSecond, clock, closed } = parts;
  if (bytesPerSecond === null) return;
  const dueMs = startedAtMs + (sentBytes / bytesPerSecond) * 1000;
  const waitMs = dueMs - clock.nowMs();
  if (waitMs > 0) await sleep(clock, waitMs, closed);
}
