import test from 'ava';
import { type SeriesResult, seriesTable } from '../../drill/series.ts';

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
  ...{ scenario: 'kill-host', ok, dataLost: two, unprotectedWrites: 1 },
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
    ...{ scenario: 'slow-link', ok: false, dataLost: null, unprotectedWrites: null },
    ...{ failoverMs: null, client: null },
  };
  const lines = seriesTable([none, result(true, 300, 0)]).split('\n');
  t.is(lines.length, 4);
  t.regex(lines[2]!, /slow-link \| 1 \| 0 \| 0 \| 0 .*– \| – \| – \|/);
});
