import test from 'ava';
import { slopeOf } from '../../bench/slope.ts';

test('a power law has its exponent, whatever its factor', (t) => {
  const xs = [100, 1000, 10_000];
  t.true(
    Math.abs(
      slopeOf(
        xs,
        xs.map((x) => 7 * x ** 0.5),
      ) - 0.5,
    ) < 1e-9,
  );
  t.true(Math.abs(slopeOf(xs, [3, 3, 3])) < 1e-9);
});
