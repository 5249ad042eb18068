import { formatRatio, formatValue } from './amounts.ts';
import { barChart } from './bar-chart.ts';
import { type Conditions, quietCores } from './conditions.ts';
import { isMeasured, median, quantile, type Row } from './row.ts';
import type { Suite, SuiteResult } from './suite.ts';
import type { Verdict } from './targets.ts';

export interface Report {
  readonly conditions: Conditions;
  readonly quick: boolean;
  readonly suites: readonly SuiteResult[];
  readonly targets: readonly Verdict[];
}

/** Beside the page. */
export const chartFolder = 'benchmarks';

/** The charts that the page shows, as files of `chartFolder`. */
export function renderCharts(
  report: Report,
  suites: readonly Suite[],
): { file: string; svg: string }[] {
  const rows = new Map(report.suites.flatMap((result) => result.rows.map((row) => [row.id, row])));
  const middle = (id: string): number | undefined => {
    const row = rows.get(id);
    return row !== undefined && isMeasured(row) ? median(row.values) : undefined;
  };
  return suites.flatMap(({ charts = [] }) =>
    charts.map(({ name, title, names, groups }) => ({
      file: `${name}.svg`,
      svg: barChart({
        ...{ title, names, yLabel: 'ms', logarithmic: true },
        groups: groups.map(({ label, rowIds }) => ({ label, values: rowIds.map(middle) })),
        format: (ms) => formatValue(ms, 'ms').replace(' ms', ''),
      }),
    })),
  );
}

/** docs/benchmarks.md out of one run. */
export function renderPage(report: Report, suites: readonly Suite[]): string {
  const sections = report.suites.map((result) => {
    const suite = suites.find(({ name }) => name === result.name);
    if (suite === undefined) throw new Error(`a result of an unknown suite ${result.name}`);
    const charts = (suite.charts ?? []).map(
      ({ name, title }) => `![${title}](${chartFolder}/${name}.svg)\n\n`,
    );
    return `## ${suite.title}\n\n${suite.about}\n\n${charts.join('')}${rowTable(result.rows)}\n`;
  });
  return `${[
    '# Benchmarks',
    `Written by \`npm run bench\`; do not edit. All numbers are of one run on one machine. "Spread"
is the range from the tenth to the ninetieth percentile of the runs; a ratio is taken inside each
run and the median is given. What clients see of failovers and switchovers, and what output commit
costs them, is measured by drills: [DRILLS.md](DRILLS.md#what-was-measured).${otherWork(report.conditions)}`,
    conditionTable(report.conditions),
    '## Numbers to reach',
    targetTable(report.targets),
    ...sections,
  ].join('\n\n')}`.replace(/\n{3,}/g, '\n\n');
}

function otherWork({ busyCoresAtStart }: Conditions): string {
  return busyCoresAtStart <= quietCores
    ? ''
    : ` **Other work ran on this machine meanwhile (${busyCoresAtStart.toFixed(1)} cores were busy
before the start): times are longer and rates lower than on a quiet one.**`;
}

export function conditionTable(conditions: Conditions): string {
  const { date, processor, cores, memoryGib, kernel, node, qemu, natsServer } = conditions;
  return table(
    ['', ''],
    [
      ['Date', date],
      ['Processor', `${processor}, ${cores} cores, ${memoryGib} GiB`],
      ['Kernel', `Linux ${kernel}`],
      ['Node', node],
      ['QEMU', qemu],
      ['NATS', natsServer],
      ['Compiler of the native baselines', `${conditions.compiler}, -O3 -march=native`],
      ['Cores busy before the start', conditions.busyCoresAtStart.toFixed(2)],
      ['Commit', conditions.commit],
    ],
  );
}

function targetTable(targets: readonly Verdict[]): string {
  return table(
    ['To reach', 'Measured', 'Verdict'],
    targets.map(({ target, measured, verdict }) => [target, measured, verdict]),
  );
}

function rowTable(rows: readonly Row[]): string {
  const cells = rows.map((row) => {
    if (!isMeasured(row)) return [row.what, `not run: ${row.notRun}`, '', '', ''];
    const what = row.note === undefined ? row.what : `${row.what} (${row.note})`;
    const { values, unit, against } = row;
    const low = formatValue(quantile(values, 0.1), unit);
    const high = formatValue(quantile(values, 0.9), unit);
    const ratio =
      against === undefined
        ? ''
        : `${formatRatio(median(against.ratios))} × ${nameOf(rows, against.id)}`;
    const spread = values.length === 1 ? '' : `${low} … ${high}`;
    return [what, formatValue(median(values), unit), spread, `${values.length}`, ratio];
  });
  return table(['What', 'Median', 'Spread', 'Runs', 'Against'], cells);
}

/** The other row as the table names it. */
function nameOf(rows: readonly Row[], id: string): string {
  return rows.find((row) => row.id === id)?.what ?? id;
}

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}
