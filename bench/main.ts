import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { formatRatio, formatValue } from './amounts.ts';
import { suites } from './catalog.ts';
import { readConditions } from './conditions.ts';
import { chartFolder, type Report, renderCharts, renderPage } from './page.ts';
import { isMeasured, median } from './row.ts';
import type { SuiteResult } from './suite.ts';
import { runSuiteApart } from './suite-process.ts';
import { judge } from './targets.ts';

const usage = `Usage: npm run bench -- [options]

Measures Understudy on this machine. Without options every suite is run and docs/benchmarks.md
is written anew; with any option it is written only if --write is given.

  --suite NAME   run this suite only; may be repeated: ${suites.map(({ name }) => name).join(', ')}
  --quick        few, short runs: a look, not a measurement
  --json         print one JSON object with every single value on standard output
  --write        write docs/benchmarks.md; needs all suites, and not --quick
  --help         this text
`;

const pagePath = fileURLToPath(new URL('../../docs/benchmarks.md', import.meta.url));

process.exitCode = await main(process.argv.slice(2));

/** Exit status: 0 all suites ran, 1 one of them did not, 2 wrong usage. */
async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(args);
  if (typeof options === 'string') {
    process.stderr.write(`${options}\n\n${usage}`);
    return 2;
  }
  if (options.help) {
    process.stdout.write(usage);
    return 0;
  }
  const say = (line: string): void => void process.stderr.write(`bench: ${line}\n`);
  const conditions = await readConditions(say);
  const results: SuiteResult[] = [];
  for (const suite of suites.filter(({ name }) => options.names.includes(name))) {
    say(`suite ${suite.name}`);
    results.push(await runSuiteApart(suite, { quick: options.quick, progress: say }));
  }
  const targets = judge(results.flatMap(({ rows }) => rows));
  const report: Report = { conditions, quick: options.quick, suites: results, targets };
  if (options.write) {
    await writeFile(pagePath, renderPage(report, suites));
    const folder = join(dirname(pagePath), chartFolder);
    await mkdir(folder, { recursive: true });
    for (const { file, svg } of renderCharts(report, suites))
      await writeFile(join(folder, file), svg);
    say('docs/benchmarks.md is written');
  }
  process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : summarise(report));
  return results.every(({ rows }) => rows.every(isMeasured)) ? 0 : 1;
}

interface Options {
  readonly names: readonly string[];
  readonly quick: boolean;
  readonly json: boolean;
  readonly write: boolean;
  readonly help: boolean;
}

/** The options, or what is wrong with them. */
function readOptions(args: readonly string[]): Options | string {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        suite: { type: 'string', multiple: true, default: [] },
        quick: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        write: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    const { suite, quick, json, help } = values;
    const known = suites.map(({ name }) => name);
    const unknown = suite.find((name) => !known.includes(name));
    if (unknown !== undefined) return `There is no suite "${unknown}".`;
    const isWhole = suite.length === 0 && !quick;
    if (values.write && !isWhole) return '--write needs all suites, at full length.';
    const write = values.write || args.length === 0;
    return { names: suite.length === 0 ? known : suite, quick, json, write, help };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function summarise({ suites: results, targets }: Report): string {
  const lines = results.flatMap(({ name, rows }) => [
    `\n${name}`,
    ...rows.map((row) => {
      if (!isMeasured(row)) return `  ${row.what}: not run: ${row.notRun}`;
      const ratio =
        row.against === undefined
          ? ''
          : `, ${formatRatio(median(row.against.ratios))} times ${row.against.id}`;
      return `  ${row.what}: ${formatValue(median(row.values), row.unit)}${ratio}`;
    }),
  ]);
  const verdicts = targets.map((t) => `  ${t.verdict}: ${t.target}: ${t.measured}`);
  return `${[...lines, '\nNumbers to reach', ...verdicts].join('\n')}\n`;
}
