import { bounds } from '../../shared/bounds.ts';
import { regionDigestsOf } from '../../shared/codec/region-digest.ts';
import { UnderstudyError } from '../../shared/errors.ts';
import type { Incoming } from '../../shared/transport/control-channel.ts';
import type { DigestsRequest } from '../../shared/wire/digest-body.ts';
import type { ReplicaSession } from './replica-session.ts';

/** Answers what a primary asks to find the regions and pages in which this side differs. */
export async function answerDigests(
  session: ReplicaSession,
  request: DigestsRequest,
  incoming: Incoming,
): Promise<void> {
  const pageDigests = await session.pageDigests();
  const { first, count, epoch } = request;
  const regions = request.kind === 'region-digests-request';
  const all = regions ? regionDigestsOf(pageDigests) : pageDigests;
  if (count > bounds.digestsMax || first + count > all.length) {
    throw new UnderstudyError('E_DIGESTS_RANGE', `digests ${first} + ${count} of ${all.length}`, {
      hint: 'The two sides disagree about the size of the guest; run the same release on both.',
    });
  }
  const digests = all.slice(first, first + count);
  incoming.answer({ kind: regions ? 'region-digests' : 'page-digests', epoch, first, digests });
}
