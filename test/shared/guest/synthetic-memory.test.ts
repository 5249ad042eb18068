import test from 'ava';
import { SyntheticMemory } from '../../../shared/guest/synthetic-memory.ts';
import { pageBytes } from '../../../shared/ids.ts';
import { PageSet } from '../../../shared/page-set.ts';

const gib = 2 ** 30;

test('8 GiB are addressed page by page, beyond what 32 bits of bytes reach', (t) => {
  const memory = new SyntheticMemory(8 * gib);
  const last = memory.pageCount - 1;
  memory.write32(last, 4092, 0xfeed_beef);
  memory.write32(3, 0, 0x0102_0304);
  t.is(memory.read32(last, 4092), 0xfeed_beef);
  const page = new Uint8Array(pageBytes);
  memory.copyPages(Uint32Array.of(last), 1, page, 0);
  t.deepEqual([...page.subarray(4092)], [0xef, 0xbe, 0xed, 0xfe]);
  const written = new PageSet(memory.pageCount);
  memory.takeWritten(written);
  t.is(written.size, 2);
  t.true(written.has(last) && written.has(3));
});

test('holes read as zeros, stay holes, and are left out by nextData', (t) => {
  const memory = new SyntheticMemory(256 * 2 ** 20);
  memory.write32(10, 0, 1);
  memory.write32(11, 0, 1);
  memory.write32(40_000, 0, 1);
  const into = new Uint8Array(3 * pageBytes).fill(0xaa);
  memory.readRange(30_000, 3, into, 0);
  t.true(into.every((byte) => byte === 0));
  t.deepEqual(memory.nextData(0), { first: 10, end: 12 });
  t.deepEqual(memory.nextData(12), { first: 40_000, end: 40_001 });
  t.is(memory.nextData(40_001), undefined);
  t.is(memory.nextData(memory.pageCount), undefined);
});

test('a range across two segments is read whole', (t) => {
  const memory = new SyntheticMemory(128 * 2 ** 20);
  memory.write32(16_383, 0, 7);
  memory.write32(16_384, 0, 8);
  const into = new Uint8Array(2 * pageBytes);
  memory.readRange(16_383, 2, into, 0);
  t.is(into[0], 7);
  t.is(into[pageBytes], 8);
});

test('what the backup writes is not taken for a write of the guest', (t) => {
  const memory = new SyntheticMemory(2 ** 20);
  memory.writePages(Uint32Array.of(5, 2), 2, new Uint8Array(2 * pageBytes).fill(9), 0);
  const written = new PageSet(memory.pageCount);
  memory.takeWritten(written);
  t.is(written.size, 0);
  t.is(memory.read32(5, 0), 0x0909_0909);
  t.deepEqual(memory.nextData(0), { first: 2, end: 3 });
});

test('pages outside RAM are refused', (t) => {
  const memory = new SyntheticMemory(2 ** 20);
  const page = new Uint8Array(pageBytes);
  t.throws(() => memory.readRange(256, 1, page, 0), { instanceOf: RangeError });
  t.throws(() => memory.writePages(Uint32Array.of(256), 1, page, 0), { instanceOf: RangeError });
  t.throws(() => new SyntheticMemory(4097), { instanceOf: RangeError });
});
