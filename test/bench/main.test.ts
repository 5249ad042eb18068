import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import { attempt } from '../../bench/attempt.ts';
import { suites } from '../../bench/catalog.ts';
import type { Report } from '../../bench/page.ts';
import { isMeasured } from '../../bench/row.ts';
import { runSuiteApart } from '../../bench/suite-process.ts';
import { UnderstudyError } from '../../shared/errors.ts';

const mainPath = fileURLToPath(new URL('../../bench/main.js', import.meta.url));
const pagePath = fileURLToPath(new URL('../../../docs/benchmarks.md', import.meta.url));

async function bench(...args: string[]) {
  const run = promisify(execFile)(process.execPath, [mainPath, ...args]);
  return await run.then(
    ({ stdout, stderr }) => ({ stdout, stderr, status: 0 }),
    (error: { stdout: string; stderr: string; code: number }) => ({
      stdout: error.stdout,
      stderr: error.stderr,
      status: error.code,
    }),
  );
}

test('--json prints one object with every value on standard output, and writes no page', async (t) => {
  const before = existsSync(pagePath) ? readFileSync(pagePath, 'utf8') : undefined;
  const suite = ['--suite', 'hash', '--suite', 'compress', '--suite', 'pipeline'];
  const { stdout, status } = await bench('--quick', '--json', ...suite, '--suite', 'apply');
  t.is(status, 0);
  t.is(stdout.trim().split('\n').length, 1);
  const report: Report = JSON.parse(stdout);
  t.true(report.quick);
  t.is(report.conditions.node, process.version);
  t.deepEqual(
    report.suites.map(({ name }) => name),
    ['hash', 'compress', 'pipeline', 'apply'],
  );
  const rows = report.suites.flatMap((result) => result.rows);
  t.true(rows.length > 30);
  for (const row of rows) {
    if (!isMeasured(row)) return t.fail(`${row.id}: ${row.notRun}`);
    t.true(row.values.length > 0 && row.values.every((value) => value > 0), row.id);
  }
  t.is(new Set(rows.map(({ id }) => id)).size, rows.length);
  const judged = report.targets.filter(({ verdict }) => verdict !== 'not measured');
  t.is(judged.length, 6);
  t.is(existsSync(pagePath) ? readFileSync(pagePath, 'utf8') : undefined, before);
});

test('wrong usage exits with 2 and says what there is', async (t) => {
  for (const args of [['--suite', 'nope'], ['--nope'], ['--quick', '--write']]) {
    const { stdout, stderr, status } = await bench(...args);
    t.is(status, 2, args.join(' '));
    t.is(stdout, '');
    t.regex(stderr, /Usage: .*bench/);
  }
  t.is((await bench('--help')).status, 0);
});

test('a suite that fails costs its own rows only, which say why', async (t) => {
  const lines: string[] = [];
  const unknown = { ...suites[0]!, name: 'no-such-suite', rowIds: ['a', 'b'] };
  const result = await runSuiteApart(unknown, { quick: true, progress: (l) => lines.push(l) });
  t.deepEqual(
    result.rows.map((row) => ({ ...row, notRun: isMeasured(row) ? '' : row.notRun })),
    ['a', 'b'].map((id) => ({ id, what: id, notRun: 'no suite no-such-suite' })),
  );
  t.regex(lines.join('\n'), /did not run/);
});

test('a measurement that fails gives its reason with the code, in one line', async (t) => {
  const rows = await attempt(['x', 'y'], async () => {
    throw new UnderstudyError('E_DEMO', 'no luck\nat all', { hint: 'Try again.' });
  });
  t.deepEqual(rows[0], { id: 'x', what: 'x', notRun: 'E_DEMO: no luck' });
  t.is(rows.length, 2);
});

test('every suite is known by one name and says how it measures', (t) => {
  t.is(new Set(suites.map(({ name }) => name)).size, suites.length);
  for (const { about, rowIds } of suites) t.true(about.length > 100 && rowIds.length > 0);
});
