import test from 'ava';
import { type Report, renderCharts, renderPage } from '../../bench/page.ts';
import type { Suite } from '../../bench/suite.ts';
import { judge } from '../../bench/targets.ts';

const suite: Suite = {
  name: 'demo',
  title: 'A demonstration',
  about: 'How it was measured.',
  rowIds: [],
  run: async () => [],
};

const report: Report = {
  quick: false,
  conditions: {
    date: '2026-01-02 03:04 UTC',
    processor: 'A | B',
    cores: 2,
    memoryGib: 24,
    kernel: '6.18',
    node: 'v20',
    qemu: 'QEMU 7.2',
    natsServer: 'nats-server 2.9',
    compiler: 'gcc 12',
    busyCoresAtStart: 0.15,
    commit: 'abc',
  },
  suites: [
    {
      name: 'demo',
      tookMs: 1,
      rows: [
        { id: 'base', what: 'The base', unit: 'GB/s', values: [1, 2, 3] },
        {
          id: 'ours',
          what: 'Ours',
          unit: 'pages/s',
          values: [123_456],
          against: { id: 'base', ratios: [1.5, 2, 9] },
          note: 'with care',
        },
        { id: 'gone', what: 'Gone', notRun: 'no /dev/kvm' },
      ],
    },
  ],
  targets: judge([]),
};

test('the page says conditions, medians, spread, runs, ratios and what was not run', (t) => {
  const page = renderPage(report, [suite]);
  t.regex(page, /\| Date \| 2026-01-02 03:04 UTC \|/);
  t.regex(page, /\| Cores busy before the start \| 0\.15 \|/);
  t.regex(page, /\| Processor \| A \\\| B, 2 cores, 24 GiB \|/);
  t.regex(page, /## A demonstration\n\nHow it was measured\./);
  t.regex(page, /\| The base \| 2\.00 GB\/s \| 1\.20 GB\/s … 2\.80 GB\/s \| 3 \|\s+\|/);
  t.regex(page, /\| Ours \(with care\) \| 123,456 pages\/s \|\s+\| 1 \| 2\.00 × The base \|/);
  t.regex(page, /\| Gone \| not run: no \/dev\/kvm \|/);
  t.regex(page, /## Numbers to reach\n\n\| To reach \| Measured \| Verdict \|/);
  t.false(/\n{3}/.test(page));
});

test('every line of a table has the cells of its head', (t) => {
  const rows = renderPage(report, [suite])
    .split('\n')
    .map((line) => line.replaceAll('\\|', ''));
  let cells = 0;
  for (const [i, line] of rows.entries()) {
    if (!line.startsWith('|')) continue;
    if (!rows[i - 1]?.startsWith('|')) cells = line.split('|').length;
    t.is(line.split('|').length, cells, line);
  }
});

test('a chart is drawn of the medians of its rows, and the page shows it', (t) => {
  const groups = [{ label: '100 pages', rowIds: ['x', 'not-measured'] }];
  const chart = { name: 'demo-chart', title: 'A chart', names: ['one', 'two'], groups };
  const charted = { ...suite, charts: [chart] };
  const rows = [{ id: 'x', what: 'x', unit: 'ms' as const, values: [1, 42, 100] }];
  const result = { ...report, suites: [{ name: 'demo', tookMs: 1, rows }] };
  t.true(renderPage(result, [charted]).includes('![A chart](benchmarks/demo-chart.svg)'));
  const [{ file, svg }] = renderCharts(result, [charted]) as [{ file: string; svg: string }];
  t.is(file, 'demo-chart.svg');
  t.regex(svg, /^<svg[\s\S]*>42[\s\S]*>–<[\s\S]*<\/svg>/);
});
