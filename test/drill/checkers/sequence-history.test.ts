import test from 'ava';
import {
  latencyOf,
  longestGaps,
  SequenceHistory,
} from '../../../drill/checkers/sequence-history.ts';

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

test('a stretch has the latencies of the writes sent in it, and of no others', (t) => {
  const history = new SequenceHistory(10);
  for (let n = 0; n < 6; n++) history.send(n * 10);
  // The third is never answered; the fifth is answered after the stretch has ended.
  for (const [write, tookMs] of [
    [1, 500],
    [2, 3],
    [4, 5],
    [5, 900],
    [6, 700],
  ] as const) {
    history.acknowledge(write, (write - 1) * 10 + tookMs, 0);
  }
  t.deepEqual(latencyOf(history, { name: 'middle', fromMs: 10, toMs: 50 }), {
    ...{ stretch: 'middle', answers: 3, p50Ms: 5, p90Ms: 900, p99Ms: 900, maxMs: 900 },
  });
  const none = latencyOf(history, { name: 'none', fromMs: 60, toMs: 70 });
  t.deepEqual([none.answers, none.p50Ms], [0, null]);
});
