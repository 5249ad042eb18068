import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { isUnderstudyError } from '../../../shared/errors.ts';
import { RamFile } from '../../../shared/memory/ram-file.ts';
import { mountTmpfs } from '../../tmpfs.ts';

const mib = 2 ** 20;
const gib = 2 ** 30;

const folder = mkdtempSync('/dev/shm/understudy-ram-file-');
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

const page = (fill: number): Uint8Array => new Uint8Array(4096).fill(fill);
const path = (name: string): string => join(folder, name);

test('what is written is what is read, page by page, by range and after opening again', (t) => {
  const ram = RamFile.create(path('plain'), 8 * mib);
  const pages = Uint32Array.of(7, 0, 1, 2, 2047);
  const data = new Uint8Array(5 * 4096 + 100);
  for (let i = 0; i < 5; i++) data.set(page(i + 1), 100 + i * 4096);
  ram.writePages(pages, 5, data, 100);
  const copied = new Uint8Array(5 * 4096 + 8);
  ram.copyPages(pages, 5, copied, 8);
  t.deepEqual(copied.subarray(8), data.subarray(100));
  ram.close();

  const again = RamFile.open(path('plain'), 8 * mib);
  const range = new Uint8Array(3 * 4096);
  again.readRange(0, 3, range, 0);
  t.deepEqual([range[0], range[4096], range[8192]], [2, 3, 4]);
  again.remove();
  t.throws(() => statSync(path('plain')), { code: 'ENOENT' });
});

test('reading a range leaves holes unallocated, and data is found by runs', (t) => {
  const ram = RamFile.create(path('holes'), 4 * mib);
  ram.writePages(Uint32Array.of(5, 6, 1000), 3, new Uint8Array(3 * 4096).fill(1), 0);
  const all = new Uint8Array(4 * mib);
  ram.readRange(0, 1024, all, 0);
  t.is(ram.allocatedPages(), 3);
  t.deepEqual(ram.nextData(0), { first: 5, end: 7 });
  t.deepEqual(ram.nextData(6), { first: 6, end: 7 });
  t.deepEqual(ram.nextData(7), { first: 1000, end: 1001 });
  t.is(ram.nextData(1001), undefined);
  t.is(ram.nextData(1024), undefined);
  ram.remove();
});

test('memory of more than 4 GiB is read and written across every segment border', (t) => {
  const ram = RamFile.create(path('large'), 5 * gib);
  const border = gib / 4096;
  const pages = Uint32Array.of(border - 1, border, 4 * border - 1, 4 * border, 5 * border - 1);
  const data = new Uint8Array(5 * 4096);
  for (let i = 0; i < 5; i++) data.set(page(i + 10), i * 4096);
  ram.writePages(pages, 5, data, 0);
  const copied = new Uint8Array(5 * 4096);
  ram.copyPages(pages, 5, copied, 0);
  t.deepEqual(copied, data);
  t.deepEqual(ram.nextData(border + 1), { first: 4 * border - 1, end: 4 * border + 1 });
  t.is(ram.allocatedPages(), 5);
  ram.remove();
});

test('a page outside RAM is refused and never read or written', (t) => {
  const ram = RamFile.create(path('bounds'), mib);
  const bytes = new Uint8Array(2 * 4096);
  t.throws(() => ram.copyPages(Uint32Array.of(256), 1, bytes, 0), { instanceOf: RangeError });
  t.throws(() => ram.writePages(Uint32Array.of(255, 256), 2, bytes, 0), { instanceOf: RangeError });
  t.throws(() => ram.readRange(255, 2, bytes, 0), { instanceOf: RangeError });
  t.is(statSync(ram.path).size, mib);
  ram.remove();
  t.throws(() => ram.copyPages(Uint32Array.of(0), 1, bytes, 0), { message: /closed/ });
});

test('a file of another size is E_MEMORY_SIZE and stays as it is', (t) => {
  RamFile.create(path('size'), 2 * mib).close();
  truncateSync(path('size'), mib);
  const error = t.throws(() => RamFile.open(path('size'), 2 * mib));
  t.true(isUnderstudyError(error, 'E_MEMORY_SIZE'));
  t.is(statSync(path('size')).size, mib);
  t.throws(() => RamFile.create(path('odd'), 4097), { message: /4097 bytes/ });
});

test('what is not a file on a tmpfs is E_MEMORY_FILE', (t) => {
  const missing = join(tmpdir(), 'no-such-folder', 'ram');
  for (const act of [
    () => RamFile.open('/proc/self/comm', 4096),
    () => RamFile.create('/proc/self/new', 4096),
    () => RamFile.open('/dev/null', 4096),
    () => RamFile.open(missing, 4096),
    () => RamFile.create(missing, 4096),
  ]) {
    const error = t.throws(act);
    t.true(isUnderstudyError(error, 'E_MEMORY_FILE'), String(error));
  }
});

test('a tmpfs without room is E_TMPFS_FULL, ahead and in the middle of writing', (t) => {
  const small = mkdtempSync(join(folder, 'small-'));
  t.teardown(mountTmpfs(small, '64k'));
  const error = t.throws(() => RamFile.create(join(small, 'ram'), mib));
  t.true(isUnderstudyError(error, 'E_TMPFS_FULL'));
  const ram = RamFile.create(join(small, 'ram'), 64 * 1024);
  writeFileSync(join(small, 'other'), new Uint8Array(32 * 1024));
  const pages = Uint32Array.from({ length: 16 }, (_, i) => i);
  const full = t.throws(() => ram.writePages(pages, 16, new Uint8Array(64 * 1024).fill(1), 0));
  t.true(isUnderstudyError(full, 'E_TMPFS_FULL'));
  ram.remove();
});

test('opening and closing again and again leaks no mapping', (t) => {
  RamFile.create(path('again'), mib).close();
  const bytes = new Uint8Array(4096);
  for (let i = 0; i < 300; i++) {
    const ram = RamFile.open(path('again'), mib);
    ram.copyPages(Uint32Array.of(i % 256), 1, bytes, 0);
    ram.close();
  }
  t.false(readFileSync('/proc/self/maps', 'utf8').includes(path('again')));
});
