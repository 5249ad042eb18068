import test from 'ava';
import { AskedVerification, verifyReplica } from '../../primary/asked-verification.ts';
import type { ReplicaVerdict } from '../../primary/session/replica-check.ts';

const verdict: ReplicaVerdict = { ram: { pages: 5, isSame: true }, disks: [] };
const turn = () => new Promise((resolve) => setImmediate(resolve));

test('who asks again is told when the comparison is done, and then a new one begins', async (t) => {
  const ends: ((verdict: ReplicaVerdict) => void)[] = [];
  const asked = new AskedVerification(() => new Promise((resolve) => ends.push(resolve)));
  t.deepEqual(await asked.look(), { verdict: null });
  t.deepEqual(await asked.look(), { verdict: null });
  t.is(ends.length, 1);
  ends[0]!(verdict);
  await turn();
  t.deepEqual(await asked.look(), { verdict });
  t.deepEqual(await asked.look(), { verdict: null });
  t.is(ends.length, 2);
});

test('a comparison that fails is an error for who asks, and the next one begins anew', async (t) => {
  const asked = new AskedVerification(() => verifyReplica('joining', undefined));
  t.deepEqual(await asked.look(), { verdict: null });
  await turn();
  await t.throwsAsync(asked.look(), { code: 'E_VERIFY_UNPROTECTED', message: /joining/ });
  t.deepEqual(await asked.look(), { verdict: null });
});
