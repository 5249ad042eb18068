import { diskPageCount } from '../../shared/disk/disk-pages.ts';
import { type DiskLevelParts, differingPages, sendPages, stretchPages } from './disk-level.ts';

export interface DiskVerificationParts extends DiskLevelParts {
  /** Resolves when the backup has committed everything that was changed before the call. */
  readonly committed: () => Promise<void>;
}

/** One disk, compared with the backup's. */
export interface VerifiedDisk {
  readonly disk: number;
  readonly pages: number;
  /** Pages that were not the guest's on the backup; they were sent again. */
  readonly differingPages: number;
}

/**
 * Compares the backup's disks with the guest's beside it, by digests. What was changed before is
 * committed there; a page that is changed meanwhile says nothing and is left out. So a page that
 * differs was damaged, on one side or the other: the guest's is sent again.
 */
export async function verifyDisks(parts: DiskVerificationParts): Promise<VerifiedDisk[]> {
  const { server, committed } = parts;
  await server.watch(true);
  try {
    await committed();
    const verified: VerifiedDisk[] = [];
    for (const [disk, sizeBytes] of server.sizes.entries()) {
      verified.push(await verifyDisk(parts, disk, diskPageCount(sizeBytes)));
    }
    return verified;
  } finally {
    await server.watch(false);
  }
}

async function verifyDisk(
  parts: DiskVerificationParts,
  disk: number,
  pages: number,
): Promise<VerifiedDisk> {
  const { server, clock, emit } = parts;
  const startedAtMs = clock.nowMs();
  let differing = 0;
  let firstDifferingPage: number | null = null;
  for (let first = 0; first < pages; first += stretchPages) {
    const count = Math.min(stretchPages, pages - first);
    const suspects = await differingPages(parts, { disk, first, count });
    const damaged = await server.unchanged(disk, suspects);
    await sendPages(parts, disk, damaged);
    differing += damaged.length;
    firstDifferingPage ??= damaged[0] ?? null;
  }
  const verifyMs = clock.nowMs() - startedAtMs;
  emit({
    kind: 'disk-verify',
    disk,
    pages,
    verifyMs,
    differingPages: differing,
    firstDifferingPage,
  });
  return { disk, pages, differingPages: differing };
}
