import { bounds } from '../../shared/bounds.ts';
import { regionDigestsOf, regionPages } from '../../shared/codec/region-digest.ts';
import { diskPageCount } from '../../shared/disk/disk-pages.ts';
import { UnderstudyError } from '../../shared/errors.ts';
import type { Incoming } from '../../shared/transport/control-channel.ts';
import type { DigestsRequest } from '../../shared/wire/digest-body.ts';
import { type DiskChangesRequest, namedRegionsMax } from '../../shared/wire/disk-changes-body.ts';
import type { DiskDigestsRequest } from '../../shared/wire/disk-digest-body.ts';
import type { ReplicaSession } from './replica-session.ts';

/** Answers what a primary asks to find the regions and pages of RAM or a disk in which this side differs. */
export async function answerDigests(
  session: ReplicaSession,
  request: DigestsRequest | DiskDigestsRequest | DiskChangesRequest,
  incoming: Incoming,
): Promise<void> {
  if (request.kind === 'disk-changes-request') {
    const { disk, isOfNow } = request;
    const known = await session.knownChanges(disk, isOfNow);
    const isTooMuch = known !== null && known.regions.length > namedRegionsMax;
    incoming.answer({ kind: 'disk-changes', disk, known: isTooMuch ? null : known });
    return;
  }
  if (request.kind === 'disk-digests-request') {
    await answerDiskDigests(session, request, incoming);
    return;
  }
  const pageDigests = await session.pageDigests();
  const { first, count, epoch } = request;
  const regions = request.kind === 'region-digests-request';
  const all = regions ? regionDigestsOf(pageDigests) : pageDigests;
  if (count > bounds.digestsMax || first + count > all.length) {
    throw outOfRange(`digests ${first} + ${count} of ${all.length}`);
  }
  const digests = all.slice(first, first + count);
  incoming.answer({ kind: regions ? 'region-digests' : 'page-digests', epoch, first, digests });
}

async function answerDiskDigests(
  session: ReplicaSession,
  request: DiskDigestsRequest,
  incoming: Incoming,
): Promise<void> {
  const { disk, of, first, count } = request;
  const pageCount = diskPageCount(session.diskBytes[disk] ?? 0);
  const per = of === 'regions' ? regionPages : 1;
  const end = Math.min(pageCount, (first + count) * per);
  if (count === 0 || (first + count - 1) * per >= pageCount || end - first * per > pagesMax) {
    throw outOfRange(`digests ${first} + ${count} of disk ${disk}, which has ${pageCount} pages`);
  }
  const pages = await session.diskDigests({ disk, first: first * per, count: end - first * per });
  const digests = of === 'regions' ? regionDigestsOf(pages) : pages;
  incoming.answer({ kind: 'disk-digests', disk, first, digests });
}

/** A region's digest takes a pass over its pages: 256 MiB of a disk at once are enough. */
const pagesMax = 64 * regionPages;

function outOfRange(message: string): UnderstudyError {
  return new UnderstudyError('E_DIGESTS_RANGE', message, {
    hint: 'The two sides disagree about the size of the guest; run the same release on both.',
  });
}
