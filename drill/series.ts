import { formatCount } from './amounts.ts';
import { quantile } from './measure.ts';
import type { DrillResult } from './result.ts';

/** What a row of the table needs of a result. */
export type SeriesResult = Pick<
  DrillResult,
  'scenario' | 'ok' | 'failoverMs' | 'client' | 'dataLost' | 'unprotectedWrites'
>;

const header = [
  ...['drill', 'runs', 'every check held', 'writes acknowledged', 'lost'],
  ...['connections broken', 'frames seen', 'of two copies'],
  ...[
    'client’s gap at the fault: median, longest',
    'takeover: median, longest',
    'detection: median',
  ],
];

/** Many drills as one table of Markdown, a row for each scenario. Times in milliseconds. */
export function seriesTable(results: readonly SeriesResult[]): string {
  const names = [...new Set(results.map(({ scenario }) => scenario))];
  const rows = names.map((name) => seriesRow(results.filter(({ scenario }) => scenario === name)));
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(header), line(header.map(() => '---')), ...rows.map(line)].join('\n');
}

function seriesRow(results: readonly SeriesResult[]): string[] {
  const clients = results.flatMap(({ client }) => (client === null ? [] : [client]));
  const failovers = results.flatMap(({ failoverMs }) => (failoverMs === null ? [] : [failoverMs]));
  const total = (values: readonly number[]) => formatCount(values.reduce((a, b) => a + b, 0));
  const lost = results.map(
    ({ dataLost, unprotectedWrites }) => (dataLost ?? 0) + (unprotectedWrites ?? 0),
  );
  const gaps = clients.flatMap(({ faultGapMs }) => (faultGapMs === null ? [] : [faultGapMs]));
  return [
    results[0]!.scenario,
    String(results.length),
    String(results.filter(({ ok }) => ok).length),
    total(clients.map(({ acknowledged }) => acknowledged)),
    total(lost),
    total(clients.map(({ connectionsBroken }) => connectionsBroken)),
    total(clients.map(({ framesSeen }) => framesSeen)),
    total(clients.map(({ framesFromTwoCopies }) => framesFromTwoCopies)),
    spread(gaps),
    spread(failovers.map((failover) => failover.total)),
    milliseconds(
      quantile(
        failovers.map(({ detect }) => detect),
        0.5,
      ),
    ),
  ];
}

const spread = (values: readonly number[]) =>
  values.length === 0
    ? '–'
    : `${milliseconds(quantile(values, 0.5))}, ${milliseconds(quantile(values, 1))}`;

const milliseconds = (value: number | null) => (value === null ? '–' : String(Math.round(value)));
