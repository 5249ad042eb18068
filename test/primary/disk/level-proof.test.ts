import test from 'ava';
import type { DiskLevelParts } from '../../../primary/disk/disk-level.ts';
import { LevelProof } from '../../../primary/disk/level-proof.ts';
import { type KnownChanges, syncBasis } from '../../../shared/change-basis.ts';
import { monotonicClock } from '../../../shared/clock.ts';
import { sessionId } from '../../../shared/ids.ts';

const session = sessionId('00000000000000aa');
const follows: KnownChanges = {
  basis: syncBasis(session, 'follows'),
  regions: new Uint32Array(),
};

/** What a proof does, in order, with a backup that answers so, one answer after the other. */
async function proofWith(answers: readonly (KnownChanges | null)[]): Promise<string[]> {
  const done: string[] = [];
  const closed = new AbortController();
  const left = [...answers];
  const noted = async <T>(what: string, result: T): Promise<T> => {
    done.push(what);
    return result;
  };
  const ended = new Promise<void>((resolve) => {
    const last = async <T>(what: string, result: T): Promise<T> => {
      if (left.length === 0) setImmediate(resolve);
      return await noted(what, result);
    };
    const parts = {
      server: {
        lead: () => noted('lead', true),
        endRound: () => noted('round ends', 1),
        proven: ({ regions }: { regions: Uint32Array }) => noted(`proven ${regions}`, undefined),
      },
      stream: { taken: () => noted('all is taken', undefined) },
      theirChanges: () => last('asked', left.shift() ?? null),
      ...{ session, clock: monotonicClock, closed: closed.signal },
    } as unknown as DiskLevelParts;
    new LevelProof(parts, 0, null).levelled({ first: 0, count: 8192 });
  });
  await ended;
  // What follows from the last answer is done in microtasks.
  await new Promise((resolve) => setImmediate(resolve));
  closed.abort(new Error('over'));
  return done;
}

test('a region is proven after its changes were taken and the backup has synced since', async (t) => {
  const order = ['asked', 'lead', 'round ends', 'all is taken', 'asked', 'proven 0,1'];
  t.deepEqual(await proofWith([follows, follows]), order);
});

test('nothing is proven with a backup that does not follow, or no longer', async (t) => {
  t.deepEqual(await proofWith([null]), ['asked']);
  const [first, ...others] = [follows, null];
  const order = ['asked', 'lead', 'round ends', 'all is taken', 'asked'];
  t.deepEqual(await proofWith([first, ...others]), order);
  const changed = { ...follows, regions: Uint32Array.of(3) };
  t.deepEqual(await proofWith([follows, changed]), order);
});
