import test from 'ava';
import { InputJournal } from '../../../primary/output/input-journal.ts';
import { epoch } from '../../../shared/ids.ts';

const frameOf = (number: number, bytes = 92) => Buffer.alloc(bytes, number);
/** Each frame counts as 100 bytes. */
const journalOf = (bytesMax: number, batchBytesMax = 1000) =>
  new InputJournal({ bytesMax, batchBytesMax });

function append(journal: InputJournal, count: number, inFlightBytes = 0): void {
  for (let index = 0; index < count; index++) journal.append(0, frameOf(index), inFlightBytes);
}

test('input goes out in order, in batches of bounded size', (t) => {
  const journal = journalOf(100_000);
  append(journal, 25);
  const batches = [journal.next(), journal.next(), journal.next(), journal.next()];
  t.deepEqual(
    batches.map((batch) => batch && [batch.first, batch.frames.length]),
    [[1, 10], [11, 10], [21, 5], undefined],
  );
});

test('what the backup did not confirm is sent again from there on', (t) => {
  const journal = journalOf(100_000);
  append(journal, 5);
  journal.next();
  t.true(journal.loggedTo(2));
  t.false(journal.loggedTo(2), 'an old answer is no news');
  t.false(journal.loggedTo(6), 'nor is one about what was not sent');
  journal.repeat();
  const again = journal.next()!;
  t.deepEqual([again.first, again.frames.length], [3, 3]);
  t.deepEqual(Buffer.from(again.frames[0]!.frame), frameOf(2));
});

test('the backup is never sent more than it keeps, and more once a checkpoint frees it', (t) => {
  const journal = journalOf(1000);
  append(journal, 15);
  t.is(journal.next()!.frames.length, 10);
  t.is(journal.next(), undefined);
  t.is(journal.unsentBytes, 500);
  t.is(journal.filledShare, 1.5);
  journal.loggedTo(10);
  journal.barrier(epoch(1), 0);
  t.is(journal.next(), undefined, 'not before the backup holds it');
  journal.acknowledged(epoch(1));
  t.is(journal.next()!.frames.length, 5);
  t.is(journal.filledShare, 0);
});

test('a checkpoint covers only input that QEMU has surely read', (t) => {
  const journal = journalOf(100_000, 10_000);
  append(journal, 20, 450);
  journal.barrier(epoch(1), 450);
  t.is(journal.next()!.replayFrom, 1, 'no more than what is in the message');
  journal.loggedTo(20);
  // The last 450 bytes may be on their way, and with them frames 16 to 20.
  t.is(journal.epochMessage().replayFrom, 16);
  journal.barrier(epoch(2), 0);
  t.is(journal.epochMessage().replayFrom, 21, 'all of it has arrived meanwhile');
});
