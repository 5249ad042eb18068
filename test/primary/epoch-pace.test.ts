import test from 'ava';
import { brakeShare, type PaceView, paceEpoch } from '../../primary/epoch-pace.ts';

const limits = { intervalMs: 100, shortestMs: 25, longestMs: 500 };
const calm: PaceView = {
  sinceMs: 0,
  outputWaits: false,
  pauseMs: 2,
  pages: undefined,
  pagesBefore: 500,
  capacityPages: 8192,
  canLook: true,
};

/** When the checkpoint comes, if each look finds `pages(atMs)`, and how many looks it took. */
function run(view: Partial<PaceView>, pages: (atMs: number) => number) {
  let looks = 0;
  let found: number | undefined;
  for (let sinceMs = 0; ; ) {
    const step = paceEpoch({ ...calm, ...view, sinceMs, pages: found }, limits);
    found = undefined;
    if (step.kind === 'checkpoint') return { atMs: sinceMs, looks };
    if (step.kind === 'look') {
      looks += 1;
      found = pages(sinceMs);
    } else sinceMs += step.ms;
    if (looks > 100) throw new Error('it looks for ever');
  }
}

test('a busy guest is checkpointed at the interval, after one look', (t) => {
  t.deepEqual(
    run({}, () => 3000),
    { atMs: 100, looks: 1 },
  );
});

test('an idle guest is looked at each interval, and left alone up to the longest epoch', (t) => {
  t.deepEqual(
    run({}, () => 40),
    { atMs: 500, looks: 4 },
  );
  const wakes = run({}, (atMs) => (atMs >= 250 ? 900 : 40));
  t.deepEqual(wakes, { atMs: 300, looks: 3 });
});

test('waiting output is let out soon, but pauses never take more than a tenth of the time', (t) => {
  t.is(run({ outputWaits: true }, () => 3000).atMs, 25);
  t.is(run({ outputWaits: true, pauseMs: 7 }, () => 3000).atMs, 70);
  t.is(run({ outputWaits: true, pauseMs: 50 }, () => 3000).atMs, 100);
  t.is(run({ outputWaits: true, pauseMs: 1 }, () => 0).looks, 0);
});

test('a guest that fills the capture buffer is checkpointed before it is full', (t) => {
  const fast = run({ pagesBefore: 8000 }, (atMs) => atMs * 130);
  t.true(fast.atMs < 8192 / 130, `${fast.atMs}`);
  t.is(run({ pagesBefore: 8000 }, () => 300).atMs, 100);
});

test('where a look is dear, epochs have one length', (t) => {
  t.deepEqual(
    run({ canLook: false, pagesBefore: 8000 }, () => 0),
    { atMs: 100, looks: 0 },
  );
});

test('a guest is slowed down the more, the less room there is, and never stopped for good', (t) => {
  t.is(brakeShare(0, 1000), 0);
  t.is(brakeShare(500, 1000), 0);
  let before = 0;
  for (let pages = 550; pages <= 1000; pages += 50) {
    const share = brakeShare(pages, 1000);
    t.true(share > before && share < 1, `${pages}: ${share}`);
    before = share;
  }
  t.is(brakeShare(5000, 1000), brakeShare(1000, 1000));
});
