import { createHash } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import { ScanTracker } from '../../../primary/capture/scan.ts';
import type { PageDigester } from '../../../primary/capture/tracked-guest.ts';
import { RamFile } from '../../../shared/memory/ram-file.ts';
import { punchHole } from '../../../shared/native/libc.ts';
import { PageSet } from '../../../shared/page-set.ts';

const folder = mkdtempSync('/dev/shm/understudy-scan-');
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

/** SHA-256 cut to 8 bytes: slow, and not the code under test. */
const sha256: PageDigester = {
  digestPages(memory, first, count, out) {
    const bytes = new Uint8Array(count * 4096);
    memory.readRange(first, count, bytes, 0);
    for (let i = 0; i < count; i++) {
      const page = bytes.subarray(i * 4096, (i + 1) * 4096);
      const digest = createHash('sha256').update(page).digest();
      out[2 * i] = digest.readUInt32LE(0);
      out[2 * i + 1] = digest.readUInt32LE(4);
    }
  },
};

const pageCount = 512;

function collected(tracker: ScanTracker): number[] {
  const found = new PageSet(pageCount);
  tracker.collect(found);
  const pages = new Uint32Array(found.size);
  found.take(0, pages);
  return [...pages];
}

test('each collect reports the pages whose bytes changed since the one before', (t) => {
  const ram = RamFile.create(join(folder, 'ram'), pageCount * 4096);
  const tracker = new ScanTracker(ram, sha256);
  tracker.arm();
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
      t.deepEqual(collected(tracker), expected);
    }),
    { numRuns: 50 },
  );
  ram.remove();
});

test('pages that were given back are reported once, as they read as zeros now', (t) => {
  const ram = RamFile.create(join(folder, 'balloon'), pageCount * 4096);
  const pages = Uint32Array.from({ length: 100 }, (_, i) => 50 + i);
  ram.writePages(pages, 100, new Uint8Array(100 * 4096).fill(7), 0);
  const tracker = new ScanTracker(ram, sha256);
  tracker.arm();
  t.deepEqual(collected(tracker), []);
  const fd = openSync(ram.path, 'r+');
  punchHole(fd, 60 * 4096, 3 * 4096);
  punchHole(fd, 149 * 4096, 4096);
  closeSync(fd);
  t.deepEqual(collected(tracker), [60, 61, 62, 149]);
  t.deepEqual(collected(tracker), []);
  t.is(ram.allocatedPages(), 96, 'looking allocates nothing');
  ram.remove();
});
