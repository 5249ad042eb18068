import { randomBytes } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import { ScanTracker } from '../../../primary/capture/scan.ts';
import { secretBytes } from '../../../shared/codec/codec-settings.ts';
import { RamFile } from '../../../shared/memory/ram-file.ts';
import { punchHole } from '../../../shared/native/libc.ts';
import { PageSet } from '../../../shared/page-set.ts';

const folder = mkdtempSync('/dev/shm/understudy-scan-');
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

const hash = { blockBytes: 64, hash: 'xxh3', secret: randomBytes(secretBytes) } as const;

function open({ path, pageCount }: RamFile, threads: number): ScanTracker {
  return new ScanTracker({ path, pageCount, hash, threads });
}

function collected(tracker: ScanTracker, { pageCount }: RamFile): number[] {
  const found = new PageSet(pageCount);
  tracker.collect(found);
  const pages = new Uint32Array(found.size);
  found.take(0, pages);
  return [...pages];
}

test('each collect reports the pages whose bytes changed, with one thread and with three', (t) => {
  // Three regions and a part of one, which the threads share out.
  const pageCount = 3 * 4096 + 100;
  const ram = RamFile.create(join(folder, 'ram'), pageCount * 4096);
  const trackers = [open(ram, 1), open(ram, 3)];
  for (const tracker of trackers) tracker.arm();
  const content = new Map<number, number>();
  const page = fc.record({
    page: fc.integer({ min: 0, max: pageCount - 1 }),
    fill: fc.integer({ min: 1, max: 4 }),
  });
  fc.assert(
    fc.property(fc.array(page, { maxLength: 20 }), (writes) => {
      const before = new Map(content);
      for (const { page, fill } of writes) {
        ram.writePages(Uint32Array.of(page), 1, new Uint8Array(4096).fill(fill), 0);
        content.set(page, fill);
      }
      const changed = [...content].filter(([page, fill]) => before.get(page) !== fill);
      const expected = changed.map(([page]) => page).sort((a, b) => a - b);
      for (const tracker of trackers) t.deepEqual(collected(tracker, ram), expected);
    }),
    { numRuns: 50 },
  );
  for (const tracker of trackers) tracker.close();
  ram.remove();
});

test('pages that were given back are reported once, as they read as zeros now', (t) => {
  const ram = RamFile.create(join(folder, 'balloon'), 512 * 4096);
  const pages = Uint32Array.from({ length: 100 }, (_, i) => 50 + i);
  ram.writePages(pages, 100, new Uint8Array(100 * 4096).fill(7), 0);
  const tracker = open(ram, 2);
  tracker.arm();
  t.deepEqual(collected(tracker, ram), []);
  const fd = openSync(ram.path, 'r+');
  punchHole(fd, 60 * 4096, 3 * 4096);
  punchHole(fd, 149 * 4096, 4096);
  closeSync(fd);
  t.deepEqual(collected(tracker, ram), [60, 61, 62, 149]);
  t.deepEqual(collected(tracker, ram), []);
  t.is(ram.allocatedPages(), 96, 'looking allocates nothing');
  tracker.close();
  ram.remove();
});

test('a thread that fails is E_SCAN_WORKER, no set is given out, and arming starts anew', (t) => {
  const ram = RamFile.create(join(folder, 'cut'), 2 * 4096 * 4096);
  const pages = Uint32Array.of(1, 4096);
  ram.writePages(pages, 2, new Uint8Array(2 * 4096).fill(7), 0);
  const tracker = open(ram, 2);
  tracker.arm();
  ram.writePages(pages, 2, new Uint8Array(2 * 4096).fill(8), 0);
  const bytes = ram.pageCount * 4096;
  // The half of page 4096 that is left can't be read as a page.
  truncateSync(ram.path, 4096 * 4096 + 2048);
  const found = new PageSet(ram.pageCount);
  t.throws(() => tracker.collect(found), { code: 'E_SCAN_WORKER', message: /was cut/ });
  t.is(found.size, 0);
  t.throws(() => tracker.collect(found), { message: /not armed/ });
  truncateSync(ram.path, bytes);
  tracker.arm();
  ram.writePages(pages, 2, new Uint8Array(2 * 4096).fill(9), 0);
  t.deepEqual(collected(tracker, ram), [1, 4096]);
  tracker.close();
  ram.remove();
});
