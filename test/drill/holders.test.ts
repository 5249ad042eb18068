import test from 'ava';
import { holdersOf, isProtectedSince, turnsOf } from '../../drill/holders.ts';
import { epoch, term } from '../../shared/ids.ts';
import type { TimedEvent } from '../../shared/observe/events.ts';
import { syntheticRun } from './synthetic-run.ts';

const takeover = syntheticRun(1).backup[0]!;
const at = (atMs: number): TimedEvent => ({ ...takeover, atMs });
const lab = (a: TimedEvent[], b: TimedEvent[]) => ({
  poll: () => {},
  events: (host: 'a' | 'b') => (host === 'a' ? a : b),
});

test('holders follow each other by the instants of their takeovers', (t) => {
  t.deepEqual(holdersOf(lab([], [])), ['a']);
  t.deepEqual(holdersOf(lab([at(20)], [at(10), at(30)])), ['a', 'b', 'a', 'b']);
});

test('a turn begins with the term that the host took over by', (t) => {
  const won = (atMs: number, number: number): TimedEvent => ({
    ...{ kind: 'term', term: term(number), mode: 'solo', atMs },
  });
  const b = [won(3, 1), won(7, 2), at(10), won(12, 3)];
  t.deepEqual(turnsOf(lab([], b)), [
    { host: 'a', sinceMs: 0 },
    { host: 'b', sinceMs: 7 },
  ]);
});

test('protected counts only with an acknowledgement since', (t) => {
  const state = (to: string): TimedEvent => ({
    ...{ kind: 'state', role: 'primary', from: 'x', to, cause: 'y', atMs: 5 },
  });
  const ack: TimedEvent = { kind: 'ack', epoch: epoch(1), lagMs: 1, atMs: 10 };
  t.true(isProtectedSince([state('protected'), ack], 9));
  t.false(isProtectedSince([state('protected'), ack], 10), 'none since');
  t.false(isProtectedSince([state('protected'), ack, state('claiming')], 9), 'not any more');
  t.false(isProtectedSince([], 0));
});
