import test from 'ava';
import { GuestBrake } from '../../../primary/capture/guest-brake.ts';
import { SpanList } from '../../../shared/observe/spans.ts';
import { ManualClock } from '../manual-clock.ts';

function makeBrake(share: (atMs: number) => number) {
  const clock = new ManualClock();
  let pausedAtMs: number | undefined;
  let stillMs = 0;
  const brake = new GuestBrake({
    ...{ clock, spans: new SpanList(clock), graceMs: 100 },
    guest: {
      pause: async () => {
        if (pausedAtMs !== undefined) throw new Error('it was paused twice');
        pausedAtMs = clock.nowMs();
      },
      resume: async () => {
        stillMs += clock.nowMs() - (pausedAtMs ?? Number.NaN);
        pausedAtMs = undefined;
      },
    },
    share: async () => share(clock.nowMs()),
  });
  let finish = () => {};
  let fail = (_: Error) => {};
  const work = new Promise<void>((resolve, reject) => {
    finish = resolve;
    fail = reject;
  });
  return {
    ...{ brake, clock, work, finish: () => finish(), fail: (error: Error) => fail(error) },
    isPaused: () => pausedAtMs !== undefined,
    stillMs: () => stillMs,
  };
}

test('work that is done in time slows nothing', async (t) => {
  const { brake, clock, work, finish, stillMs } = makeBrake(() => 0.9);
  const done = brake.during(work);
  await clock.pass(90);
  finish();
  await done;
  t.is(stillMs(), 0);
});

test('while work takes long the guest stands still for its share, and runs at the end', async (t) => {
  const { brake, clock, work, finish, stillMs, isPaused } = makeBrake((ms) => (ms < 300 ? 0.5 : 0));
  const done = brake.during(work);
  await clock.pass(1100);
  t.true(stillMs() >= 90 && stillMs() <= 110, `${stillMs()} of 200 ms`);
  finish();
  await clock.pass(50);
  await done;
  t.false(isPaused());
});

test('work that fails while the guest stands still: it runs first, then the error is thrown', async (t) => {
  const { brake, clock, work, fail, isPaused } = makeBrake(() => 0.9);
  const done = brake.during(work);
  const outcome = t.throwsAsync(done, { message: 'the link is gone' });
  await clock.pass(105);
  t.true(isPaused());
  fail(new Error('the link is gone'));
  await clock.pass(50);
  await outcome;
  t.false(isPaused());
});
