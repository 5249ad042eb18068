import { setPriority } from 'node:os';
import test from 'ava';
import { simulate, type Verdict } from './simulation.ts';

/** `npm run sim` runs as many as one has time for. */
const seedsMax = 2000;
const seedsPerTest = 100;
// Minutes of computing: the tests beside these, which have processes and clocks, go first.
setPriority(10);
const verdicts: Verdict[] = [];

for (let from = 1; from <= seedsMax; from += seedsPerTest) {
  const to = from + seedsPerTest - 1;
  test.serial(
    `seeds ${from} to ${to}: never two outputs, no answer lost, and it goes on`,
    async (t) => {
      for (let seed = from; seed <= to; seed++) {
        const verdict = await simulate(seed);
        const replay = `npm run sim -- --seeds 1 --from ${seed} --trace`;
        t.deepEqual(verdict.failures, [], `seed ${seed} fails; to see it: ${replay}`);
        verdicts.push(verdict);
      }
    },
  );
}

test.serial('the seeds met what they are about', (t) => {
  const sum = (count: keyof Verdict['counts']) =>
    verdicts.reduce((total, { counts }) => total + counts[count], 0);
  t.log(`${sum('answers')} answers, ${sum('takeovers')} takeovers, ${sum('events')} events`);
  t.log(`${sum('readAgain')} pages were read again, to share them`);
  t.true(sum('answers') > 50 * seedsMax);
  t.true(sum('takeovers') > seedsMax / 4);
  t.true(sum('switchovers') > seedsMax / 10);
  t.true(sum('readAgain') > seedsMax, `${sum('readAgain')} pages were read again`);
  for (const mode of ['one', 'apart', 'chaos']) t.true(verdicts.some((each) => each.mode === mode));
});

test.serial('a seed replays exactly', async (t) => {
  for (const first of verdicts.slice(0, 10)) {
    const again = await simulate(first.seed);
    t.is(again.hash, first.hash, `seed ${first.seed}`);
    t.is(again.counts.events, first.counts.events);
  }
});
