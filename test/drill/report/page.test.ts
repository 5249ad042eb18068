import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { measureRun } from '../../../drill/measure.ts';
import { reportPage } from '../../../drill/report/page.ts';
import { linearScale, logScale } from '../../../drill/report/scale.ts';
import { writeReport } from '../../../drill/report/write.ts';
import type { DrillResult } from '../../../drill/result.ts';
import { syntheticRun } from '../synthetic-run.ts';

const run = syntheticRun(30);

function resultWith(part: Partial<DrillResult>): DrillResult {
  return {
    scenario: 'kill-host',
    ok: true,
    mode: 'fgbi',
    seed: 42,
    epochMs: 100,
    ...measureRun(run),
    resumedEpoch: 30,
    ramVerified: true,
    guestContinued: true,
    dataLost: 0,
    unprotectedWrites: 3,
    client: null,
    checks: [{ name: 'no-data-lost', ok: true, detail: 'none of 100' }],
    error: null,
    conditions: {
      startedAt: '2024-01-02T03:04:05.678Z',
      processor: 'p',
      cores: 2,
      memoryBytes: 1e9,
      kernel: 'Linux',
      node: 'v20',
      qemu: 'QEMU',
      natsServer: 'nats',
      accelerator: 'tcg',
      tracker: 'scan',
      guestName: 'lab',
      guestMemoryBytes: 2 ** 29,
      guestVcpus: 1,
      guestImage: 'image',
    },
    runFolder: null,
    report: null,
    ...part,
  };
}

test('the page needs nothing from elsewhere', (t) => {
  const page = reportPage(resultWith({}), run);
  t.notRegex(page, /\b(src|href|url\(|@import|https?:)/);
  t.notRegex(page, /<script/);
  t.notRegex(page, /NaN|undefined|Infinity/);
});

test('the page has the verdict, every plot, and each element is closed', (t) => {
  const page = reportPage(resultWith({}), run);
  t.regex(page, /Every check held/);
  t.is(page.match(/<svg /g)?.length, 7);
  t.regex(page, /Where time went in epoch 15: the median pause, 2\.50 ms/);
  t.is(unclosed(page), '');
});

test('text of logs and errors cannot become markup', (t) => {
  const evil = `<img src=x onerror="alert('1')">&`;
  const error = { code: evil, message: evil, hint: evil, logs: [{ log: evil, lines: [evil] }] };
  const checks = [{ name: evil, ok: false, detail: evil }];
  const page = reportPage(resultWith({ ok: false, error, checks, scenario: evil }), run);
  t.notRegex(page, /<img/);
  t.is(unclosed(page), '');
});

test('a drill that broke off early has a page as well', (t) => {
  const nothing = {
    primary: [],
    backup: [],
    killedAtMs: undefined,
    servesFromMs: undefined,
    servedAtMs: undefined,
  };
  const error = { code: 'E_X', message: 'away', hint: 'come back', logs: [] };
  const result = resultWith({ ...measureRun(nothing), ok: false, error, checks: [] });
  const page = reportPage(result, nothing);
  t.regex(page, /E_X: away/);
  t.notRegex(page, /NaN|undefined|Infinity|<svg/);
  t.is(unclosed(page), '');
});

test('more epochs than fit keep their longest pause', (t) => {
  const many = syntheticRun(2000);
  const slow = many.primary.find((event) => event.kind === 'epoch' && event.epoch === 777);
  if (slow?.kind === 'epoch') slow.phasesMs.copy = 99;
  const page = reportPage(resultWith(measureRun(many)), many);
  t.regex(page, /epoch 777: [^<]*copy 99/);
  t.regex(page, /the highest of each 13/);
  t.true(page.length < 300_000, `${page.length} characters`);
});

test('the report is two whole files', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'report-test-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const paths = await writeReport(folder, resultWith({}), run);
  t.deepEqual((await readdir(folder)).sort(), ['report.html', 'report.json']);
  t.deepEqual(JSON.parse(await readFile(paths.json, 'utf8')), { ...resultWith({}), report: paths });
  await t.throwsAsync(writeReport(join(folder, 'absent'), resultWith({}), run), {
    code: 'E_DRILL_REPORT',
  });
});

test('axes have round labels and hold every value', (t) => {
  const linear = linearScale([0, 11.1], [100, 0], 5);
  t.deepEqual(linear.ticks, [0, 5, 10, 15]);
  t.is(linear.at(0), 100);
  t.is(linear.at(15), 0);
  t.deepEqual(linearScale([0, 0.3], [0, 1], 3).ticks, [0, 0.1, 0.2, 0.3]);
  const log = logScale([0, 250, 12_000], [0, 300]);
  t.deepEqual(log.ticks, [100, 1000, 10_000, 100_000]);
  t.is(log.at(0), 0);
  t.is(log.at(1000), 100);
});

/** The first element that is not closed as it should be; '' where all are. */
function unclosed(page: string): string {
  const open: string[] = [];
  for (const [tag, slash, name] of page.matchAll(/<(\/?)([a-z][a-z0-9]*)(?:"[^"]*"|[^">])*>/g)) {
    if (name === 'meta' || tag.endsWith('/>')) continue;
    if (slash === '') open.push(name!);
    else if (open.pop() !== name) return `</${name}>`;
  }
  return open.join();
}
