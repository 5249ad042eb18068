import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { DrillResult } from './result.ts';
import { scenarios } from './scenarios.ts';
import { latencyTable, seriesTable } from './series.ts';

/**
 * `npm run drills -- [SCENARIO...] [--runs N] [--guest FILE]... [--duration SECONDS]`: drills one after
 * the other, with each of the files, each a process of its own as an operator would start it; then
 * one table of all, and one of latencies where a scenario measures them.
 * Without a SCENARIO: every one. Exits 1 if a check of any of them failed.
 */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: 'string', default: '1' },
    guest: { type: 'string', multiple: true, default: [] },
    duration: { type: 'string' },
  },
});
const names = positionals.length > 0 ? positionals : Object.keys(scenarios);
const command = fileURLToPath(new URL('../cli/main.js', import.meta.url));
const passedOn = values.duration === undefined ? [] : ['--duration', values.duration];
const guests = values.guest.length === 0 ? [[]] : values.guest.map((file) => ['--guest', file]);

const results: DrillResult[] = [];
let withoutResult = 0;
for (let run = 1; run <= Number(values.runs); run++) {
  for (const name of names) {
    for (const guest of guests) {
      const result = await drill(name, guest);
      if (result === undefined) withoutResult += 1;
      else results.push(result);
      const label = [String(run), name, ...guest.slice(1)].join(' ');
      process.stdout.write(`${label}: ${describe(result)}\n`);
    }
  }
}
const first = results[0]?.conditions;
if (first !== undefined) {
  const { processor, cores, kernel, node, qemu, natsServer, accelerator } = first;
  process.stdout.write(
    `\n${processor}, ${cores} cores, Linux ${kernel}, Node ${node}, ${qemu}, ${natsServer}, ` +
      `accelerator ${accelerator}\n`,
  );
}
process.stdout.write(`\n${seriesTable(results)}\n`);
const latencies = latencyTable(results);
if (latencies !== undefined) process.stdout.write(`\n${latencies}\n`);
if (withoutResult > 0 || results.some(({ ok }) => !ok)) process.exitCode = 1;

/** Undefined where it printed no result: the command line or the file was refused, and it says so. */
async function drill(name: string, guest: readonly string[]): Promise<DrillResult | undefined> {
  const child = spawn(process.execPath, [command, 'drill', name, '--json', ...guest, ...passedOn], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (piece: string) => {
    text += piece;
  });
  await new Promise((resolve) => child.on('close', resolve));
  return text === '' ? undefined : (JSON.parse(text) as DrillResult);
}

function describe(result: DrillResult | undefined): string {
  if (result === undefined) return 'no result';
  const failed = result.checks.filter(({ ok }) => !ok);
  const why = [
    ...(result.error === null ? [] : [result.error.message]),
    ...failed.map(({ name, detail }) => `${name}: ${detail}`),
  ];
  const seed = `seed ${result.seed}`;
  return result.ok ? `every check held, ${seed}` : `FAILED, ${seed}: ${why.join('; ')}`;
}
