import test from 'ava';
import { ProcessorProfile } from '../../bench/processor-profile.ts';

test('processor time is told for each MiB of a measurement, without the one that warms up', async (t) => {
  let usedSeconds = 0;
  const profile = new ProcessorProfile([
    { id: 'worker', what: 'the worker', seconds: () => usedSeconds },
  ]);
  const costs = [9, 2, 4];
  const contender = profile.around(
    {
      ...{ id: 'one', what: 'one', unit: 'GB/s' },
      measure: () => {
        usedSeconds += costs.shift()!;
        return 7;
      },
    },
    1000,
  );
  for (let run = 0; run < 3; run++) t.is(await contender.measure(0), 7);
  t.deepEqual(profile.rows('work', 'Work'), [
    { id: 'work.worker', what: 'Work: the worker', unit: 'ms', values: [2, 4] },
  ]);
});
