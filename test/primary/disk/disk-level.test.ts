import test from 'ava';
import { stretchesOf } from '../../../primary/disk/disk-level.ts';

const regionPages = 4096;

test('without a map all of a disk is compared, in stretches of 64 MiB', (t) => {
  const pages = 2 * 16_384 + 5;
  t.deepEqual(stretchesOf(pages, undefined), [
    { first: 0, count: 16_384 },
    { first: 16_384, count: 16_384 },
    { first: 32_768, count: 5 },
  ]);
});

test('with a map only its regions are, neighbours together, and the last one as long as it is', (t) => {
  const pages = 7 * regionPages + 1;
  t.deepEqual(stretchesOf(pages, new Uint32Array()), []);
  t.deepEqual(stretchesOf(pages, Uint32Array.of(1, 2, 7, 9)), [
    { first: regionPages, count: 2 * regionPages },
    { first: 7 * regionPages, count: 1 },
  ]);
  t.deepEqual(stretchesOf(pages, Uint32Array.of(0, 1, 2, 3, 4)), [
    { first: 0, count: 16_384 },
    { first: 16_384, count: regionPages },
  ]);
});
