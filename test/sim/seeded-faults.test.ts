import test from 'ava';
import { seededFaults } from './seeded-faults.ts';
import { simulate } from './simulation.ts';

/** Where each was found, or 1. A change of the plan moves them, so the search goes on from there. */
const foundAt: Readonly<Record<string, number>> = {
  'output leaves at the capture of its epoch': 4,
  'output is held only once the protected term is won': 35,
  'a copy that was passed by sends what it held': 4,
  'a backup resumes without a term': 23,
  'a backup claims after an unprotected term': 53,
  'a backup acknowledges while it takes over': 398,
  'a backup never takes over': 23,
  'a tracker misses a page now and then': 60,
};
const seedsMax = 500;

for (const [name, parts] of Object.entries(seededFaults)) {
  test.serial(`the simulator finds: ${name}`, async (t) => {
    const from = foundAt[name] ?? 1;
    for (let seed = from; seed < from + seedsMax; seed++) {
      const { failures } = await simulate(seed, { parts });
      if (failures.length === 0) continue;
      t.log(`seed ${seed}: ${failures[0]}`);
      t.deepEqual((await simulate(seed)).failures, [], 'it is the fault, not the seed');
      return;
    }
    t.fail(`${seedsMax} seeds found nothing`);
  });
}
