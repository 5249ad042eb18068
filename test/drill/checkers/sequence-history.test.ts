import test from 'ava';
import { longestGaps, SequenceHistory } from '../../../drill/checkers/sequence-history.ts';

test('gaps are between answers, the longest first; a write without one is no answer', (t) => {
  const history = new SequenceHistory(10);
  for (let n = 0; n < 5; n++) history.send(n);
  for (const [write, atMs] of [
    [1, 100],
    [2, 110],
    [4, 400],
    [5, 450],
  ] as const) {
    history.acknowledge(write, atMs, 0);
  }
  t.deepEqual(longestGaps(history, 2), [
    { fromMs: 110, toMs: 400 },
    { fromMs: 400, toMs: 450 },
  ]);
  t.deepEqual(longestGaps(new SequenceHistory(10), 2), []);
});
