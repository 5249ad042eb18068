import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { DiskJournals } from '../../../backup/store/disk-journals.ts';
import { journalRoomBytes, ProvenJournal } from '../../../backup/store/proven-journal.ts';
import { TimedTurns } from '../../../backup/store/turns.ts';
import { EpochDigest } from '../../../shared/codec/digest.ts';
import { epoch } from '../../../shared/ids.ts';

const kib = 1024;

async function withJournals(
  bytesMax: number,
  work: (journals: DiskJournals, folder: string) => Promise<void> | void,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-journals-'));
  const journals = new DiskJournals(folder, bytesMax);
  try {
    await work(journals, folder);
  } finally {
    journals.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

const room = new Uint8Array(journalRoomBytes);

/** The first byte of each, of a journal of bodies of 10 KiB that hold these values. */
async function bodiesOf(journals: DiskJournals, number: number, values: readonly number[]) {
  const digest = new EpochDigest();
  for (const value of values) digest.update(Buffer.alloc(10 * kib, value));
  const reference = { bytes: values.length * 10 * kib, digest: digest.value() };
  const journal = await ProvenJournal.read(journals.path(epoch(number)), reference, {
    ...{ room, turns: new TimedTurns() },
  });
  const found = Array.from(journal.bodies(), (body) => body[0]!);
  journal.close();
  return found;
}

test('a file that is used again holds its own journal only, however long the one before it was', async (t) => {
  await withJournals(1024 * kib, async (journals, folder) => {
    const long = journals.begin(epoch(1));
    for (let value = 1; value <= 5; value++) journals.add(long, Buffer.alloc(10 * kib, value));
    t.deepEqual(await bodiesOf(journals, 1, [1, 2, 3, 4, 5]), [1, 2, 3, 4, 5]);
    const { ino } = statSync(journals.path(epoch(1)));
    journals.end(epoch(1));
    await t.throwsAsync(bodiesOf(journals, 1, [1, 2, 3, 4, 5]), { code: 'E_REPLICA_CORRUPT' });
    t.is(journals.waitingBytes, 0, 'room that is kept is not in use');
    const short = journals.begin(epoch(2));
    t.is(statSync(journals.path(epoch(2))).ino, ino, 'no new room is asked for');
    t.is(journals.waitingBytes, 0);
    journals.add(short, Buffer.alloc(10 * kib, 9));
    t.deepEqual(await bodiesOf(journals, 2, [9]), [9]);
    journals.endAllBut(epoch(2));
    t.deepEqual(readdirSync(folder), ['epoch-2']);
  });
});

test('files that are kept give way to journals before the room is used up', async (t) => {
  await withJournals(100 * kib, async (journals, folder) => {
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
    const values = [1, 2, 3, 4, 5, 6, 7, 8, 9];
    t.deepEqual(await bodiesOf(journals, 4, values), values);
  });
});

test('what an earlier process left is gone, but for what is sealed', async (t) => {
  await withJournals(100 * kib, (journals, folder) => {
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
