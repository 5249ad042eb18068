import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { PageBatch } from '../../../backup/decode/epoch-decoder.ts';
import { Staging } from '../../../backup/store/staging.ts';
import { pageBytes } from '../../../shared/ids.ts';
import { Random } from '../../../shared/random.ts';

const folder = mkdtempSync('/dev/shm/understudy-staging-');
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

function batch(pages: readonly number[], fill: number): PageBatch {
  const images = new Uint8Array(pages.length * pageBytes);
  const digests = new Uint8Array(pages.length * 8);
  pages.forEach((page, i) => {
    images.fill(fill ^ page, i * pageBytes, (i + 1) * pageBytes);
    digests.fill(fill + page, i * 8, (i + 1) * 8);
  });
  return { pages: Uint32Array.from(pages), count: pages.length, images, digests };
}

test.serial('staged pages read as they were put last, whatever the order and the repeats', (t) => {
  const staging = new Staging(folder, 300, 200 * pageBytes);
  const random = new Random(4);
  const expected = new Map<number, number>();
  for (let round = 0; round < 60; round++) {
    const pages = new Set<number>();
    const first = random.below(150);
    for (let i = random.below(20); i >= 0; i--) pages.add(first + random.below(30));
    const fill = random.below(256);
    t.true(staging.put(batch([...pages], fill)));
    for (const page of pages) expected.set(page, fill);
  }
  t.is(staging.count, expected.size);
  const image = new Uint8Array(pageBytes);
  for (let page = 0; page < 300; page++) {
    const fill = expected.get(page);
    if (fill === undefined) t.is(staging.image(page), undefined);
    else t.deepEqual(staging.image(page), image.fill(fill ^ page));
  }
  for (let slot = 0; slot < staging.count; slot++) {
    const page = staging.pages[slot]!;
    t.is(staging.digests[slot * 8], (expected.get(page)! + page) & 255);
  }
  staging.clear();
  t.is(staging.count, 0);
  t.is(staging.image([...expected.keys()][0]!), undefined);
  staging.close();
});

test.serial(
  'the bound counts distinct pages, and a batch that does not fit changes nothing',
  (t) => {
    const staging = new Staging(folder, 64, 4 * pageBytes + 100);
    t.true(staging.put(batch([1, 2, 3], 7)));
    t.true(staging.put(batch([3, 2, 1], 8)));
    t.false(staging.put(batch([1, 10, 11], 9)));
    t.is(staging.count, 3);
    t.is(staging.image(1)![0], 8 ^ 1);
    t.is(staging.image(10), undefined);
    t.true(staging.put(batch([1, 10], 9)));
    t.false(staging.put(batch([11], 9)));
    t.throws(() => staging.put(batch([64], 1)), { message: /outside RAM/ });
    staging.close();
  },
);

test.serial('a journal is taken up by another process, also under a lower bound', (t) => {
  const staging = new Staging(folder, 64, 10 * pageBytes);
  staging.put(batch([9, 4, 5, 60], 3));
  const reference = staging.writeIndex();
  staging.close();
  const other = new Staging(folder, 64, 2 * pageBytes);
  other.load(reference);
  t.deepEqual([...other.pages.subarray(0, other.count)], [9, 4, 5, 60]);
  t.is(other.image(60)![5], 3 ^ 60);
  const wrong = { ...reference, count: 3 };
  t.throws(() => other.load(wrong), { code: 'E_REPLICA_CORRUPT' });
  const larger = new Staging(folder, 20, 10 * pageBytes);
  t.throws(() => larger.load(reference), { code: 'E_REPLICA_CORRUPT' });
  larger.close();
  other.close();
});

test.serial('memory above what epochs take is given back after a synchronisation', (t) => {
  const pageCount = 20_000;
  const staging = new Staging(folder, pageCount, pageCount * pageBytes);
  const pages = Array.from({ length: 1000 }, (_, i) => i);
  for (let i = 0; i < pageCount; i += 1000)
    staging.put(
      batch(
        pages.map((page) => page + i),
        1,
      ),
    );
  const journal = join(folder, 'journal');
  t.is(statSync(journal).size, pageCount * pageBytes);
  staging.shrink();
  t.is(statSync(journal).size, 64 * 2 ** 20);
  t.true(staging.put(batch([19_999, 0], 5)));
  t.is(staging.image(19_999)![0], (5 ^ 19_999) & 255);
  staging.close();
});
