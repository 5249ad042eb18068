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
import { pageBytes, type SessionId } from '../../shared/ids.ts';
import type { EmitEvent } from '../../shared/observe/events.ts';
import type { DiskDigestsRequest } from '../../shared/wire/disk-digest-body.ts';
import type { ChangeStream } from './change-stream.ts';
import { LevelProof } from './level-proof.ts';

export interface DiskLevelParts {
  readonly server: DiskServer;
  readonly stream: ChangeStream;
  /** Of the session, under a secret that the guest does not know. */
  readonly settings: DigestSettings;
  /** Asks the backup. */
  readonly ask: (request: DiskDigestsRequest) => Promise<BigUint64Array>;
  /**
   * What the backup knew of its disk when the session began; or what it knows now, and has on its
   * disk with everything that it has taken. Null: nothing.
   */
  readonly theirChanges: (disk: number, when: 'before' | 'now') => Promise<KnownChanges | null>;
  readonly session: SessionId;
  readonly clock: AlarmClock;
  readonly emit: EmitEvent;
  readonly closed: AbortSignal;
  /** Bytes of the disks that are sent in a second at most; null: as fast as they go. */
  readonly bytesPerSecond: number | null;
}

/** Pages of a disk. */
export interface Stretch {
  readonly first: number;
  readonly count: number;
}

/** Pages whose digests are compared at once: 64 MiB of a disk. */
export const stretchPages = 16 * regionPages;
/** Pages that are read and logged at once. */
const slicePages = 128;

/**
 * Brings the backup's disks level beside the guest: digests of regions are compared, then those
 * of the pages of regions that differ, and what differs is logged as it is. Changes are logged
 * already, so whatever the guest writes meanwhile comes before or after in one order. Where both
 * sides know what they have changed since an epoch that both had, or how far a synchronisation came
 * that was interrupted, nothing else is read.
 */
export async function levelDisks(parts: DiskLevelParts): Promise<void> {
  const ours = await parts.server.known();
  const differing: (Uint32Array | undefined)[] = [];
  for (const disk of parts.server.sizes.keys()) {
    const theirs = await parts.theirChanges(disk, 'before');
    differing.push(differingRegions(ours[disk]?.known ?? null, theirs));
  }
  // The backup's maps are all about this session from its first change on: so soon are ours.
  const proofs = differing.map((regions, disk) => new LevelProof(parts, disk, regions ?? null));
  for (const [disk, sizeBytes] of parts.server.sizes.entries()) {
    await levelDisk(parts, disk, sizeBytes, differing[disk], proofs[disk]!);
  }
}

/** `regions`: of 16 MiB, in which the two sides may differ; undefined: anywhere. */
async function levelDisk(
  parts: DiskLevelParts,
  disk: number,
  sizeBytes: number,
  regions: Uint32Array | undefined,
  proof: LevelProof,
): Promise<void> {
  const { clock, emit } = parts;
  const startedAtMs = clock.nowMs();
  const pageCount = diskPageCount(sizeBytes);
  let sentBytes = 0;
  let readBytes = 0;
  const tell = (phase: 'started' | 'progress' | 'done'): void => {
    const syncMs = clock.nowMs() - startedAtMs;
    emit({
      ...{ kind: 'disk-sync', phase, disk, sizeBytes, comparedBytes, readBytes, sentBytes, syncMs },
    });
  };
  const stretches = stretchesOf(pageCount, regions);
  const bytesOf = ({ first, count }: Stretch): number =>
    Math.min(count * pageBytes, sizeBytes - first * pageBytes);
  let comparedBytes = sizeBytes;
  for (const stretch of stretches) comparedBytes -= bytesOf(stretch);
  tell('started');
  let toldAtMs = startedAtMs;
  for (const stretch of stretches) {
    readBytes += bytesOf(stretch);
    const differing = await differingPages(parts, { disk, ...stretch });
    for (let at = 0; at < differing.length; at += slicePages) {
      const slice = differing.subarray(at, at + slicePages);
      await sendPages(parts, disk, slice);
      sentBytes += slice.length * pageBytes;
      await pace(parts, sentBytes, startedAtMs);
    }
    comparedBytes += bytesOf(stretch);
    proof.levelled(stretch);
    if (clock.nowMs() - toldAtMs >= tellEveryMs) {
      toldAtMs = clock.nowMs();
      tell('progress');
    }
  }
  tell('done');
}

/** Pages that are to be compared, in runs of at most `stretchPages`. */
export function stretchesOf(pageCount: number, regions: Uint32Array | undefined): Stretch[] {
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
