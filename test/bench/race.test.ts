import test from 'ava';
import { type Contender, race, repeated } from '../../bench/race.ts';
import { compareRows, median, quantile } from '../../bench/row.ts';

function scripted(
  id: string,
  rates: readonly number[],
  against?: string,
): Contender & {
  readonly asked: number[];
} {
  const asked: number[] = [];
  const measure = (roundMs: number): number => {
    asked.push(roundMs);
    return rates[asked.length - 1]!;
  };
  const compared = against === undefined ? {} : { against };
  return { id, what: id, unit: 'GB/s', measure, asked, ...compared };
}

test('the warm-up does not count, and ratios are taken round by round', async (t) => {
  const base = scripted('base', [99, 1, 2, 4]);
  const ours = scripted('ours', [99, 10, 10, 80], 'base');
  const rows = await race([base, ours], { rounds: 3, roundMs: 10 });
  t.deepEqual(rows[0]!.values, [1, 2, 4]);
  t.deepEqual(rows[1]!.values, [10, 10, 80]);
  // The median of the ratios (10), not the ratio of the medians (5).
  t.deepEqual(rows[1]!.against, { id: 'base', ratios: [10, 5, 20] });
  t.is(median(rows[1]!.against!.ratios), 10);
});

test('each round starts with another contender', async (t) => {
  const order: string[] = [];
  const noting = (id: string): Contender => ({
    ...scripted(id, []),
    measure: () => order.push(id),
  });
  await race([noting('a'), noting('b'), noting('c')], { rounds: 3, roundMs: 1 });
  t.is(order.join(''), 'abcabcbcacab');
});

test('a comparison with a contender that is not in the race is refused', async (t) => {
  const lonely = scripted('ours', [1, 1], 'base');
  await t.throwsAsync(race([lonely], { rounds: 1, roundMs: 1 }), { message: /no contender base/ });
});

test('a rate is work over the median call, and preparing is not counted', (t) => {
  let calls = 0;
  let nowMs = 0;
  const busy = (ms: number): void => {
    nowMs += ms;
  };
  const contender = repeated({
    id: 'a',
    what: 'a',
    unit: 'pages/s',
    work: 100,
    prepare: () => busy(5),
    // One call in three is interrupted.
    run: () => busy(++calls % 3 === 0 ? 20 : 2),
    nowMs: () => nowMs,
  });
  // 100 pages in 2 ms; with prepare or the interruptions it would be less.
  t.is(contender.measure(60), 50_000);
});

test('quantiles are interpolated and of no values refused', (t) => {
  t.is(median([4, 1, 3, 2]), 2.5);
  t.is(quantile([0, 10], 0.9), 9);
  t.is(quantile([7], 0.1), 7);
  t.throws(() => median([]));
});

test('rows of two races are not compared', (t) => {
  const row = (values: number[]) => ({ id: 'a', what: 'a', unit: 'ms' as const, values });
  t.deepEqual(compareRows(row([4, 9]), row([2, 3])).ratios, [2, 3]);
  t.throws(() => compareRows(row([1]), row([1, 2])), { message: /two races/ });
});
