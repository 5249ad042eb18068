import test from 'ava';
import { simulate, type Verdict } from './simulation.ts';

/** Two failures at once, or an operator's wish: those that a protected pair survives all the same. */
const cases = {
  'kill-takers': 'agents killed while they take over: the next one goes on, and nothing twice',
  'crash-behind-restart': 'a backup that restarts while its primary dies takes over',
  pause: 'while an operator has paused nobody takes over, and it is protected again afterwards',
} as const;
const seedsEach = 25;

for (const [only, promise] of Object.entries(cases) as [keyof typeof cases, string][]) {
  test.serial(promise, async (t) => {
    const verdicts: Verdict[] = [];
    for (let seed = 1; seed <= seedsEach; seed++) {
      const verdict = await simulate(seed, { only });
      const replay = `npm run sim -- --seeds 1 --from ${seed} --only ${only} --trace`;
      t.deepEqual(verdict.failures, [], `seed ${seed} fails; to see it: ${replay}`);
      verdicts.push(verdict);
    }
    const takeovers = verdicts.reduce((sum, { counts }) => sum + counts.takeovers, 0);
    if (only === 'pause') t.is(takeovers, 0);
    else t.true(takeovers > seedsEach / 2);
  });
}
