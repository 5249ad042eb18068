import test from 'ava';
import { Random } from '../../shared/random.ts';

test('the sequence is that of the published xoshiro128** 1.1', (t) => {
  const random = Random.restore([1, 2, 3, 4]);
  const reference = [
    11520, 0, 5927040, 70819200, 2031721883, 1637235492, 1287239034, 3734860849, 3729100597,
    4258142804,
  ];
  t.deepEqual(
    reference.map(() => random.u32()),
    reference,
  );
});

test('the same seed gives the same sequence, another seed another one', (t) => {
  const draw = (seed: number): number[] => {
    const random = new Random(seed);
    return Array.from({ length: 8 }, () => random.u32());
  };
  t.deepEqual(draw(7), draw(7));
  t.notDeepEqual(draw(7), draw(8));
  t.notDeepEqual(draw(0), draw(1));
});

test('a saved state goes on where it was saved, and draws nothing by itself', (t) => {
  const random = new Random(3);
  for (let i = 0; i < 100; i++) random.u32();
  const copy = Random.restore(random.save());
  t.deepEqual(
    Array.from({ length: 50 }, () => copy.u32()),
    Array.from({ length: 50 }, () => random.u32()),
  );
});

test('draws below a limit reach every value and never the limit', (t) => {
  const random = new Random(11);
  const seen = new Set<number>();
  for (let i = 0; i < 2000; i++) seen.add(random.below(10));
  t.deepEqual(
    [...seen].sort((a, b) => a - b),
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
  );
});

test('an all-zero state, which would give zeros for ever, is refused', (t) => {
  t.throws(() => Random.restore([0, 0, 0, 0]), { instanceOf: RangeError });
});
