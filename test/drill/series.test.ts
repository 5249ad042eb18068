import test from 'ava';
import { latencyTable, type SeriesResult, seriesTable } from '../../drill/series.ts';

const phases = { decide: 1, load: 2, verify: 3, resume: 4, service: null };
const client = {
  ...{
    connectionsBroken: 0,
    framesSeen: 50,
    longestGapMs: 900,
    latency: [],
    downloadedBytes: 1,
    downloadGapMs: 1,
  },
};
const result = (ok: boolean, gapMs: number, two: number): SeriesResult => ({
  ...{ scenario: 'kill-host', epochMs: 100, ok, dataLost: two, unprotectedWrites: 1 },
  failoverMs: { ...phases, detect: gapMs / 2, total: gapMs - 1 },
  client: { ...client, acknowledged: 1000, framesFromTwoCopies: two, faultGapMs: gapMs },
});

test('what a single drill lost shows in the sum of many', (t) => {
  const rows = seriesTable([result(true, 300, 0), result(false, 500, 2), result(true, 400, 0)]);
  const cells = rows
    .split('\n')[2]!
    .split('|')
    .map((cell) => cell.trim());
  t.deepEqual(cells.slice(1, -1), [
    ...['kill-host', '3', '2', '3,000', '5', '0', '150', '2', '400, 500', '399, 499', '200'],
  ]);
});

test('each scenario has a row; what was not measured is a dash', (t) => {
  const none: SeriesResult = {
    ...{ scenario: 'slow-link', epochMs: 100, ok: false, dataLost: null, unprotectedWrites: null },
    ...{ failoverMs: null, client: null },
  };
  const lines = seriesTable([none, result(true, 300, 0)]).split('\n');
  t.is(lines.length, 4);
  t.regex(lines[2]!, /slow-link \| 1 \| 0 \| 0 \| 0 .*– \| – \| – \|/);
});

test('latencies are told apart by epoch and stretch, the median over all drills of each', (t) => {
  const latency = (epochMs: number, p50Ms: number): SeriesResult => {
    const one = { answers: 10, p50Ms, p90Ms: 2 * p50Ms, p99Ms: 3 * p50Ms, maxMs: 4 * p50Ms };
    const stretches = [
      { stretch: 'protected', ...one },
      { stretch: 'alone', ...one, answers: 5, p50Ms: 1 },
    ];
    const base = result(true, 300, 0);
    return {
      ...{ ...base, scenario: 'latency', epochMs },
      client: { ...base.client!, latency: stretches },
    };
  };
  const table = latencyTable([latency(25, 10), latency(25, 30), latency(25, 20), latency(50, 7)]);
  const cells = table!
    .split('\n')
    .slice(2)
    .map((line) => line.slice(2, -2).split(' | '));
  t.deepEqual(cells, [
    ['25 ms', 'protected', '3', '30', '20.0', '40.0', '60.0', '120.0'],
    ['25 ms', 'alone', '3', '15', '1.0', '40.0', '60.0', '120.0'],
    ['50 ms', 'protected', '1', '10', '7.0', '14.0', '21.0', '28.0'],
    ['50 ms', 'alone', '1', '5', '1.0', '14.0', '21.0', '28.0'],
  ]);
  t.is(latencyTable([result(true, 300, 0)]), undefined);
});
