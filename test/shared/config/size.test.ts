import test from 'ava';
import fc from 'fast-check';
import { editDistance, nearest } from '../../../shared/config/nearest.ts';
import { formatSize, guessSize, parseSize } from '../../../shared/config/size.ts';

test('a size is read as it was written', (t) => {
  t.is(parseSize('512MiB'), 512 * 2 ** 20);
  t.is(parseSize('1 GiB'), 2 ** 30);
  t.is(parseSize('0B'), 0);
  for (const wrong of ['512', '512M', '512MB', '1.5GiB', '-1MiB', '', 'MiB', '9999999TiB']) {
    t.is(parseSize(wrong), undefined, wrong);
  }
});

test('formatting a size loses nothing', (t) => {
  fc.assert(
    fc.property(fc.maxSafeNat(), (bytes) => parseSize(formatSize(bytes)) === bytes),
    { numRuns: 1000 },
  );
  t.is(formatSize(1536 * 1024), '1536KiB');
  t.is(formatSize(2 ** 30), '1GiB');
});

test('a size without its right unit is recognised', (t) => {
  t.is(guessSize('512M'), '512MiB');
  t.is(guessSize('2gb'), '2GiB');
  t.is(guessSize('512'), undefined);
});

test('the nearest name is found, and none where none is near', (t) => {
  t.is(nearest('intervalMS', ['limitMs', 'intervalMs']), 'intervalMs');
  t.is(nearest('primray', ['backup', 'primary']), 'primary');
  t.is(nearest('zebra', ['backup', 'primary']), undefined);
});

test('an edit distance is symmetric, and 0 only for equal words', (t) => {
  fc.assert(
    fc.property(fc.string({ maxLength: 8 }), fc.string({ maxLength: 8 }), (a, b) => {
      const distance = editDistance(a, b);
      return distance === editDistance(b, a) && (distance === 0) === (a === b);
    }),
  );
  t.is(editDistance('kitten', 'sitting'), 3);
  t.is(editDistance('ab', 'ba'), 1);
});
