import {
  changeRegionBytes,
  differingRegions,
  type KnownChanges,
} from '../../shared/change-basis.ts';
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
  /** What the backup knows of its disk as it was when the session began; null: nothing. */
  readonly theirChanges: (disk: number) => Promise<KnownChanges | null>;
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
 * Where both sides know what they have changed since an epoch that both had, nothing else is read.
 */
export async function levelDisks(parts: DiskLevelParts): Promise<void> {
  const ours = await parts.server.known();
  for (const [disk, sizeBytes] of parts.server.sizes.entries()) {
    const theirs = await parts.theirChanges(disk);
    const regions = differingRegions(ours[disk]?.known ?? null, theirs);
    await levelDisk(parts, disk, sizeBytes, regions);
  }
}

/** `regions`: of 16 MiB, in which the two sides may differ; undefined: anywhere. */
async function levelDisk(
  parts: DiskLevelParts,
  disk: number,
  sizeBytes: number,
  regions: Uint32Array | undefined,
): Promise<void> {
  const { clock, emit } = parts;
  const startedAtMs = clock.nowMs();
  const pageCount = diskPageCount(sizeBytes);
  let sentBytes = 0;
  let readBytes = 0;
  const tell = (phase: 'started' | 'progress' | 'done', comparedBytes: number): void => {
    const syncMs = clock.nowMs() - startedAtMs;
    emit({
      ...{ kind: 'disk-sync', phase, disk, sizeBytes, comparedBytes, readBytes, sentBytes, syncMs },
    });
  };
  tell('started', 0);
  let toldAtMs = startedAtMs;
  for (const { first, count } of stretchesOf(pageCount, regions)) {
    readBytes += Math.min(count * pageBytes, sizeBytes - first * pageBytes);
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

/** Pages that are to be compared, in runs of at most `stretchPages`. */
export function stretchesOf(
  pageCount: number,
  regions: Uint32Array | undefined,
): { first: number; count: number }[] {
  const size = regions === undefined ? stretchPages : changeRegionBytes / pageBytes;
  const all = Math.ceil(pageCount / size);
  const indices =
    regions?.filter((region) => region < all) ??
    Uint32Array.from({ length: all }).map((_, at) => at);
  const stretches: { first: number; count: number }[] = [];
  for (const index of indices) {
    const first = index * size;
    const count = Math.min(size, pageCount - first);
    const last = stretches.at(-1);
    const goesOn = last !== undefined && last.first + last.count === first;
    if (goesOn && last.count + count <= stretchPages) last.count += count;
    else stretches.push({ first, count });
  }
  return stretches;
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
