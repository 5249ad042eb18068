import { formatCount } from './amounts.ts';
import { quantile } from './measure.ts';
import type { DrillResult } from './result.ts';

/** What a row of the table needs of a result. */
export type SeriesResult = Pick<
  DrillResult,
  'scenario' | 'ok' | 'epochMs' | 'failoverMs' | 'client' | 'dataLost' | 'unprotectedWrites'
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
  return table(header, rows);
}

const latencyHeader = [
  ...['epochs of', 'the guest', 'drills', 'answers'],
  ...['median', '90 %', '99 %', 'longest'],
];

/**
 * From request to answer, as clients saw it, by length of epoch and stretch: the median over the
 * drills of each quantile, and the longest of all. Times in milliseconds. Undefined where no
 * scenario told stretches apart.
 */
export function latencyTable(results: readonly SeriesResult[]): string | undefined {
  const told = results.flatMap(({ scenario, epochMs, client }) =>
    scenario === 'latency' && client !== null
      ? client.latency.map((latency) => ({ epochMs, ...latency }))
      : [],
  );
  const keyOf = ({ epochMs, stretch }: (typeof told)[number]) => `${epochMs} ${stretch}`;
  const rows = [...new Set(told.map(keyOf))].map((key) => {
    const of = told.filter((one) => keyOf(one) === key);
    const { epochMs, stretch } = of[0]!;
    const each = (share: 'p50Ms' | 'p90Ms' | 'p99Ms' | 'maxMs') =>
      of.flatMap((one) => (one[share] === null ? [] : [one[share]]));
    const middle = (['p50Ms', 'p90Ms', 'p99Ms'] as const).map((share) =>
      precise(quantile(each(share), 0.5)),
    );
    const answers = of.reduce((sum, one) => sum + one.answers, 0);
    return [
      ...[`${epochMs} ms`, stretch, String(of.length), formatCount(answers)],
      ...[...middle, precise(quantile(each('maxMs'), 1))],
    ];
  });
  return rows.length === 0 ? undefined : table(latencyHeader, rows);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
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

const precise = (ms: number | null) => (ms === null ? '–' : ms.toFixed(1));
const milliseconds = (value: number | null) => (value === null ? '–' : String(Math.round(value)));
