import { gzipSync } from 'node:zlib';
import test from 'ava';
import { SyntheticMemory } from '../../../../shared/guest/synthetic-memory.ts';
import { makeWorkload } from '../../../../shared/guest/workload/catalog.ts';
import { KeyValueLayout } from '../../../../shared/guest/workload/key-value-layout.ts';
import { fillPage, pageKinds } from '../../../../shared/guest/workload/page-content.ts';
import { Zipf } from '../../../../shared/guest/workload/zipf.ts';
import { PageSet } from '../../../../shared/page-set.ts';
import { Random } from '../../../../shared/random.ts';

test('nothing of the key-value store overlaps or crosses a page', (t) => {
  const pageCount = 200;
  const layout = new KeyValueLayout(pageCount);
  const taken = new Uint8Array(pageCount * 4096);
  const take = (address: number, bytes: number): void => {
    t.is(Math.floor(address / 4096), Math.floor((address + bytes - 1) / 4096));
    for (let i = address; i < address + bytes; i++) {
      if (taken[i] !== 0) t.fail(`byte ${i} is used twice`);
      taken[i] = 1;
    }
  };
  take(0, 4096);
  t.true(layout.keyCount > 1000);
  for (let key = 0; key < layout.keyCount; key++) {
    take(layout.entryAt(key), 32);
    take(layout.keyAt(key), 32);
    for (const slot of [0, 1]) {
      take(layout.objectAt(key, slot), 16);
      take(layout.valueAt(key, slot), layout.slotBytes(key));
    }
    t.true(layout.valueLength(key) + 6 <= layout.slotBytes(key));
    t.true(layout.valueLength(key) >= 36);
    t.true(layout.bucketAt(key) + 8 <= layout.entryAt(0));
  }
});

test('a key leads over pointers to its latest value', (t) => {
  const memory = new SyntheticMemory(2 ** 20);
  const region = { memory, firstPage: 8, pageCount: 200, random: new Random(4) };
  const store = makeWorkload('key-value', region);
  store.populate();
  const layout = new KeyValueLayout(200);
  const base = 8 * 4096;
  const read = (address: number): number =>
    memory.read32(Math.floor((base + address) / 4096), address % 4096);
  const ram = Buffer.alloc(2 ** 20);
  let moved = 0;
  for (let command = 1; command <= 500; command++) {
    const key = (store.step() ^ command) >>> 0;
    const object = [0, 1].find(
      (slot) => layout.pointerLow(layout.objectAt(key, slot)) === read(layout.entryAt(key) + 8),
    );
    if (object === undefined) return t.fail('the entry points to none of its objects');
    moved += object;
    const value = layout.valueAt(key, object);
    t.is(read(layout.objectAt(key, object) + 8), layout.pointerLow(value + 5));
    memory.readRange(0, 256, ram, 0);
    const text = ram.toString('latin1', base + value + 5, base + value + 5 + 32);
    t.is(text, `{"seq":${`${command}`.padStart(10, '0')},"id":${`${key}`.padStart(9, '0')}`);
  }
  t.true(moved > 10, 'some values move');
});

test('frequent ranks are frequent, and all are within bounds', (t) => {
  const zipf = new Zipf(1000);
  const random = new Random(2);
  const counts = new Uint32Array(1000);
  for (let i = 0; i < 100_000; i++) counts[zipf.draw(random)]! += 1;
  const top = counts.subarray(0, 10).reduce((sum, n) => sum + n, 0);
  t.true(top > 30_000 && top < 50_000, `the first ten of a thousand: ${top} of 100000`);
  t.true(counts[0]! > counts[10]! && counts[10]! > counts[500]!);
  const scattered = new Set<number>();
  for (let rank = 0; rank < 20_000; rank++) scattered.add(zipf.drawScattered(random));
  t.true([...scattered].every((value) => value >= 0 && value < 1000));
  t.true(scattered.size > 800);
});

test('the kinds of pages compress as their names say', (t) => {
  const ratio = (kind: (typeof pageKinds)[number]): number => {
    const bytes = new Uint8Array(64 * 4096);
    const words = new Uint32Array(bytes.buffer);
    const random = new Random(8);
    for (let at = 0; at < bytes.length; at += 4096) fillPage(kind, random, bytes, words, at);
    return gzipSync(bytes, { level: 1 }).length / bytes.length;
  };
  const ratios = Object.fromEntries(pageKinds.map((kind) => [kind, ratio(kind)]));
  t.true(ratios.sparse! < 0.06, JSON.stringify(ratios));
  t.true(ratios.pointers! < 0.4, JSON.stringify(ratios));
  t.true(ratios.text! > 0.15 && ratios.text! < 0.5, JSON.stringify(ratios));
  t.true(ratios.code! > 0.3 && ratios.code! < 0.8, JSON.stringify(ratios));
  t.true(ratios.random! > 0.99, JSON.stringify(ratios));
});

test('zeroing gives pages back zeroed and holds half of its region', (t) => {
  const memory = new SyntheticMemory(2 ** 20);
  const region = { memory, firstPage: 4, pageCount: 64, random: new Random(1) };
  const zeroing = makeWorkload('zeroing', region);
  zeroing.populate();
  const page = new Uint8Array(4096);
  const inUse = (): number => {
    let count = 0;
    for (let i = 4; i < 68; i++) {
      memory.readRange(i, 1, page, 0);
      if (page.some((byte) => byte !== 0)) count += 1;
    }
    return count;
  };
  t.is(inUse(), 32);
  for (let i = 0; i < 301; i++) zeroing.step();
  t.is(inUse(), 33);
  zeroing.step();
  t.is(inUse(), 32);
});

test('a workload stays in its region', (t) => {
  const memory = new SyntheticMemory(2 ** 20);
  for (const [i, name] of (['random', 'hot-spot', 'text', 'sequential'] as const).entries()) {
    const region = { memory, firstPage: 20 + 40 * i, pageCount: 20, random: new Random(i) };
    const workload = makeWorkload(name, region);
    workload.populate();
    for (let step = 0; step < 2000; step++) workload.step();
    const written = new PageSet(memory.pageCount);
    memory.takeWritten(written);
    const pages = new Uint32Array(written.size);
    written.take(0, pages);
    t.is(pages[0], 20 + 40 * i, name);
    t.is(pages.at(-1), 39 + 40 * i, name);
  }
  const tooSmall = { memory, firstPage: 0, pageCount: 15, random: new Random(1) };
  t.throws(() => makeWorkload('text', tooSmall), { instanceOf: RangeError });
});
