import test from 'ava';
import { checkEpoch, checkRam, findCheckpoint } from '../../drill/judge.ts';
import type { EventOf } from '../../drill/measure.ts';
import { epoch, sessionId } from '../../shared/ids.ts';
import { syntheticRun } from './synthetic-run.ts';

const run = syntheticRun(9);
const takeover = run.backup[0] as EventOf<'takeover'>;
const checkpoint = findCheckpoint(run.primary, takeover)!;

test("RAM is verified only by the primary's own record of that epoch", (t) => {
  t.is(checkpoint.epoch, epoch(9));
  t.true(checkRam(checkpoint, takeover).ok);
  t.false(checkRam(checkpoint, { ...takeover, ramDigestFound: '00000000000000cc' }).ok);
  t.false(checkRam(checkpoint, { ...takeover, ramDigestFound: null }).ok);
  // What the backup was told counts for nothing.
  t.false(checkRam(undefined, takeover).ok);
  const unrecorded = { ...checkpoint, ramDigest: null as never };
  t.false(checkRam(unrecorded, { ...takeover, ramDigestFound: null }).ok);
});

test('an epoch of another session is not the one that was resumed', (t) => {
  const other = { ...takeover, session: sessionId('00000000000000ff') };
  t.is(findCheckpoint(run.primary, other), undefined);
  const later = [...run.primary, { ...run.primary[0]!, session: other.session } as never];
  t.is(findCheckpoint(later, other), undefined, 'no epoch of that session yet');
});

test('going back behind what was acknowledged is seen', (t) => {
  t.true(checkEpoch(run.primary, takeover, checkpoint).ok);
  const older = { ...takeover, epoch: epoch(8) };
  const check = checkEpoch(run.primary, older, findCheckpoint(run.primary, older));
  t.false(check.ok);
  t.regex(check.detail, /resumed epoch 8, last acknowledged to the primary 9/);
});
