import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { DiskJournals } from '../../../backup/store/disk-journals.ts';
import { epoch } from '../../../shared/ids.ts';

const kib = 1024;

function withJournals(bytesMax: number, work: (journals: DiskJournals, folder: string) => void) {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-journals-'));
  const journals = new DiskJournals(folder, bytesMax);
  try {
    work(journals, folder);
  } finally {
    journals.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The first byte of each. */
function bodiesOf(journals: DiskJournals, number: number, bytes: number): number[] {
  const found: number[] = [];
  for (const body of journals.bodies(epoch(number), bytes)) found.push(body[0]!);
  return found;
}

test('a file that is used again holds its own journal only, however long the one before it was', (t) => {
  withJournals(1024 * kib, (journals, folder) => {
    const long = journals.begin(epoch(1));
    for (let value = 1; value <= 5; value++) journals.add(long, Buffer.alloc(10 * kib, value));
    t.deepEqual(bodiesOf(journals, 1, 50 * kib), [1, 2, 3, 4, 5]);
    const { ino } = statSync(journals.path(epoch(1)));
    journals.end(epoch(1));
    t.throws(() => bodiesOf(journals, 1, 50 * kib), { code: 'E_REPLICA_CORRUPT' });
    t.is(journals.waitingBytes, 0, 'room that is kept is not in use');
    const short = journals.begin(epoch(2));
    t.is(statSync(journals.path(epoch(2))).ino, ino, 'no new room is asked for');
    t.is(journals.waitingBytes, 0);
    journals.add(short, Buffer.alloc(10 * kib, 9));
    t.deepEqual(bodiesOf(journals, 2, 10 * kib), [9]);
    journals.endAllBut(epoch(2));
    t.deepEqual(readdirSync(folder), ['epoch-2']);
  });
});

test('files that are kept give way to journals before the room is used up', (t) => {
  withJournals(100 * kib, (journals, folder) => {
    const used = () => {
      let bytes = 0;
      for (const name of readdirSync(folder)) bytes += statSync(join(folder, name)).size;
      return bytes;
    };
    for (const number of [1, 2, 3]) {
      journals.add(journals.begin(epoch(number)), Buffer.alloc(25 * kib, number));
    }
    for (const number of [1, 2, 3]) journals.end(epoch(number));
    t.is(readdirSync(folder).length, 3);
    const large = journals.begin(epoch(4));
    for (let value = 1; value <= 9; value++) {
      journals.add(large, Buffer.alloc(10 * kib, value));
      t.true(used() <= 100 * kib, `${used()} bytes`);
    }
    t.deepEqual(readdirSync(folder), ['epoch-4']);
    t.deepEqual(bodiesOf(journals, 4, 90 * kib), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });
});

test('what an earlier process left is gone, but for what is sealed', (t) => {
  withJournals(100 * kib, (journals, folder) => {
    for (const number of [1, 2, 3]) journals.add(journals.begin(epoch(number)), Buffer.alloc(kib));
    journals.end(epoch(1));
    const later = new DiskJournals(folder, 100 * kib);
    later.endAllBut(epoch(3));
    t.deepEqual(readdirSync(folder), ['epoch-3']);
    later.endAllBut(null);
    t.deepEqual(readdirSync(folder), []);
    later.close();
  });
});
