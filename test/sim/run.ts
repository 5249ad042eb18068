/** `npm run sim -- --seeds N [--from SEED] [--trace] [--only FAULT]`: as many seeds as one has time for. */
import { parseArgs } from 'node:util';
import type { FaultKind } from './plan.ts';
import { simulate, type Verdict } from './simulation.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '2000' },
    from: { type: 'string', default: '1' },
    trace: { type: 'boolean', default: false },
    only: { type: 'string' },
  },
});
const [from, count] = [Number(values.from), Number(values.seeds)];
const startedAt = performance.now();
const failed: number[] = [];
const totals: Record<string, number> = {};
for (let seed = from; seed < from + count; seed++) {
  const verdict = await simulate(seed, {
    traceLines: values.trace ? 1e6 : 200,
    ...(values.only === undefined ? {} : { only: values.only as FaultKind }),
  });
  add(verdict);
  if (verdict.failures.length > 0) {
    failed.push(seed);
    process.stdout.write(`seed ${seed} (${verdict.mode}) fails:\n`);
    for (const failure of verdict.failures) process.stdout.write(`  ${failure}\n`);
  }
  if (values.trace) process.stdout.write(`${verdict.trace.join('\n')}\nhash ${verdict.hash}\n`);
}
const seconds = (performance.now() - startedAt) / 1000;
process.stdout.write(
  `${count} seeds from ${from} in ${seconds.toFixed(1)} s: ${failed.length} failed` +
    `${failed.length > 0 ? ` (${failed.slice(0, 20).join(', ')})` : ''}; ${JSON.stringify(totals)}\n`,
);
process.exitCode = failed.length > 0 ? 1 : 0;

function add({ counts }: Verdict): void {
  for (const [what, count] of Object.entries(counts)) totals[what] = (totals[what] ?? 0) + count;
}
