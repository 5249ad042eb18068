import test from 'ava';
import { DoubtedOutput } from '../../../primary/output/doubted-output.ts';
import type { IsSure } from '../../../primary/parts.ts';
import { monotonicClock } from '../../../shared/clock.ts';
import { epoch } from '../../../shared/ids.ts';

/** An output that writes down what it is told, a clock that is set by hand, a record that answers late. */
function setUp() {
  const told: string[] = [];
  const sures: IsSure[] = [];
  const say = (what: string) => (number?: number) => {
    told.push(number === undefined ? what : `${what} ${number}`);
  };
  const output = {
    hold: say('hold'),
    barrier: say('barrier'),
    acknowledged: (number: number, isSure?: IsSure) => {
      say('acknowledged')(number);
      sures.push(isSure!);
    },
    sessionEnded: say('session-ended'),
    releaseAll: say('release-all'),
    drop: say('drop'),
  };
  let nowMs = 1000;
  let tick = () => {};
  const every = (_ms: number, run: () => void) => {
    tick = run;
    return () => {};
  };
  const clock = { ...monotonicClock, nowMs: () => nowMs, every };
  const answers: ((isOurs: boolean) => void)[] = [];
  const look = () => new Promise<boolean>((resolve) => answers.push(resolve));
  const doubted = new DoubtedOutput({ output, clock, look });
  doubted.watch();
  const pass = (ms: number) => {
    for (let left = ms; left > 0; left -= 25) {
      nowMs += Math.min(left, 25);
      tick();
    }
  };
  const standStill = (ms: number) => {
    nowMs += ms;
  };
  const answer = async (isOurs: boolean) => {
    answers.shift()?.(isOurs);
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { doubted, told, sures, answers, pass, standStill, answer };
}

test('an acknowledgement that waited while the process stood still waits for the record', async (t) => {
  const { doubted, told, pass, standStill, answer, answers } = setUp();
  doubted.barrier(epoch(5));
  pass(1000);
  doubted.acknowledged(epoch(4));
  standStill(2000);
  doubted.acknowledged(epoch(5));
  t.false(doubted.isStillSure());
  t.deepEqual(told, ['barrier 5', 'acknowledged 4'], 'before any timer ran');
  t.is(answers.length, 1);
  await answer(true);
  t.deepEqual(told.slice(2), ['acknowledged 5']);
  t.true(doubted.isStillSure());
});

test('a copy that was passed by while it stood still says nothing more', async (t) => {
  const { doubted, told, standStill, answer } = setUp();
  doubted.barrier(epoch(5));
  standStill(2000);
  doubted.acknowledged(epoch(5));
  await answer(false);
  doubted.drop();
  t.deepEqual(told, ['barrier 5', 'drop']);
});

test('a backup that acknowledges what was captured since has not taken over', (t) => {
  const { doubted, told, standStill } = setUp();
  doubted.barrier(epoch(5));
  standStill(2000);
  doubted.acknowledged(epoch(5));
  doubted.barrier(epoch(6));
  t.deepEqual(told, ['barrier 5', 'barrier 6']);
  doubted.acknowledged(epoch(6));
  t.deepEqual(told.slice(2), ['acknowledged 6'], 'the record may be out of reach');
  t.true(doubted.isStillSure());
});

test('an answer of the record that waited while the process stood still is asked for again', async (t) => {
  const { doubted, told, standStill, answer, answers } = setUp();
  doubted.barrier(epoch(5));
  standStill(2000);
  doubted.acknowledged(epoch(5));
  standStill(2000);
  await answer(true);
  t.deepEqual(told, ['barrier 5']);
  t.is(answers.length, 1, 'asked again');
  await answer(true);
  t.deepEqual(told.slice(1), ['acknowledged 5']);
});

test('what a session left unreleased is not released into the next one', async (t) => {
  const { doubted, told, standStill, answer } = setUp();
  doubted.barrier(epoch(5));
  standStill(2000);
  doubted.acknowledged(epoch(5));
  doubted.sessionEnded();
  await answer(true);
  t.deepEqual(told, ['barrier 5', 'session-ended']);
});

test('what is being released when the process stands still is not sure any more', async (t) => {
  const { doubted, sures, standStill, answer } = setUp();
  doubted.barrier(epoch(1));
  doubted.acknowledged(epoch(1));
  const [isSure] = sures as [IsSure];
  t.true(isSure());
  standStill(2000);
  t.false(isSure(), 'before any timer ran');
  await answer(true);
  t.true(isSure());
});
