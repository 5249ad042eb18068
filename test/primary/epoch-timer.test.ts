import test from 'ava';
import { EpochTimer } from '../../primary/epoch-timer.ts';
import { ManualClock } from './manual-clock.ts';

const limits = { intervalMs: 100, shortestMs: 20, longestMs: 400 };

function makeTimer(found: () => number | undefined = () => 1000) {
  const clock = new ManualClock();
  const dueAtMs: number[] = [];
  let looks = 0;
  const timer = new EpochTimer({
    ...{ clock, limits },
    look: async () => {
      looks += 1;
      return found();
    },
    onDue: () => dueAtMs.push(clock.nowMs()),
  });
  return { clock, timer, dueAtMs, looks: () => looks };
}

test('a checkpoint is due once for each start', async (t) => {
  const { clock, timer, dueAtMs } = makeTimer();
  timer.start();
  await clock.pass(1000);
  t.deepEqual(dueAtMs, [100]);
  timer.start();
  await clock.pass(1000);
  t.deepEqual(dueAtMs, [100, 1100]);
});

test('output brings the checkpoint forward; the barrier that covers it takes that back', async (t) => {
  const { clock, timer, dueAtMs } = makeTimer();
  timer.start();
  await clock.pass(5);
  timer.outputWaits();
  timer.outputWaits();
  await clock.pass(10);
  t.deepEqual(dueAtMs, []);
  await clock.pass(5);
  t.deepEqual(dueAtMs, [20]);
  timer.start();
  // Said before the guest stood still, so it is covered by the checkpoint that began at 20.
  timer.outputWaits();
  timer.covered();
  timer.paused({ pauseMs: 1, pages: 10, capacityPages: 1000 });
  await clock.pass(99);
  t.deepEqual(dueAtMs, [20]);
  await clock.pass(1);
  t.deepEqual(dueAtMs, [20, 120]);
});

test('output that waited before the first epoch of a term brings its checkpoint forward', async (t) => {
  const { clock, timer, dueAtMs } = makeTimer(() => 0);
  timer.outputWaits();
  timer.start();
  await clock.pass(20);
  t.deepEqual(dueAtMs, [20]);
  timer.start();
  timer.covered();
  await clock.pass(399);
  t.deepEqual(dueAtMs, [20], 'what a checkpoint covers does not hurry the next one');
  await clock.pass(1);
  t.deepEqual(dueAtMs, [20, 420]);
});

test('the first epoch of a term began with the checkpoint that the term rests on', async (t) => {
  const { clock, timer, dueAtMs } = makeTimer();
  await clock.pass(1000);
  timer.covered();
  // The caches of a new session are cold: a tenth of an epoch would be longer than the longest.
  timer.paused({ pauseMs: 60, pages: 700, capacityPages: 100_000 });
  timer.outputWaits();
  await clock.pass(70);
  timer.start(true);
  await clock.pass(30);
  t.deepEqual(dueAtMs, [1100]);

  timer.covered();
  timer.outputWaits();
  await clock.pass(500);
  timer.start(true);
  t.deepEqual(dueAtMs, [1100, 1600], 'output that has waited for long waits no longer');
});

test('an idle guest is left alone until it is idle no more', async (t) => {
  let pages = 5;
  const { clock, timer, dueAtMs, looks } = makeTimer(() => pages);
  timer.start();
  await clock.pass(250);
  t.deepEqual(dueAtMs, []);
  pages = 900;
  await clock.pass(50);
  t.deepEqual(dueAtMs, [300]);
  t.is(looks(), 3);
});

test('a tracker that can’t look gives an even beat and is asked once an epoch', async (t) => {
  const { clock, timer, dueAtMs, looks } = makeTimer(() => undefined);
  for (let turn = 0; turn < 3; turn++) {
    timer.start();
    await clock.pass(100);
  }
  t.deepEqual(dueAtMs, [100, 200, 300]);
  t.is(looks(), 1);
});

test('after a stop nothing is due, whatever a look says later', async (t) => {
  const { clock, timer, dueAtMs } = makeTimer();
  timer.start();
  await clock.pass(99);
  timer.stop();
  timer.outputWaits();
  await clock.pass(1000);
  t.deepEqual(dueAtMs, []);
});
