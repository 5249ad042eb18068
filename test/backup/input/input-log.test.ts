import test from 'ava';
import { InputLog } from '../../../backup/input/input-log.ts';
import { epoch, sessionId } from '../../../shared/ids.ts';
import type { InputLogMessage } from '../../../shared/wire/input-body.ts';

const session = sessionId('00000000000000aa');

function logOf(bytesMax = 10_000) {
  const warnings: string[] = [];
  const log = new InputLog(bytesMax, ({ code }) => warnings.push(code));
  log.begin(session);
  return { log, warnings };
}

/** Frames `first` … `first + count − 1`, each of 92 bytes that say its number. */
function batch(first: number, count: number, of = 0, replayFrom = 1): InputLogMessage {
  const frames = Array.from({ length: count }, (_, index) => ({
    card: 0,
    frame: Buffer.alloc(92, first + index),
  }));
  return { kind: 'input-log', epoch: epoch(of), first, replayFrom, frames };
}

const numbers = (log: InputLog) => log.toReplay.map(({ frame }) => frame[0]);

test('input is logged once and without a gap, however it comes', (t) => {
  const { log } = logOf();
  t.is(log.add(session, batch(1, 3)), 3);
  t.is(log.add(session, batch(6, 2)), 3, 'a gap is not taken');
  t.is(log.add(session, batch(1, 5)), 5, 'what came again is taken from where it is new');
  t.is(log.add(session, batch(2, 2)), 5);
  t.deepEqual(numbers(log), [1, 2, 3, 4, 5]);
});

test('a committed epoch lets go of what its guest has, and of nothing more', (t) => {
  const { log } = logOf();
  log.add(session, batch(1, 6));
  log.add(session, batch(7, 0, 1, 4));
  log.add(session, batch(7, 2, 2, 7));
  t.deepEqual(numbers(log).length, 8, 'not before it is committed');
  log.committed(epoch(1));
  t.deepEqual(numbers(log), [4, 5, 6, 7, 8]);
  log.committed(epoch(2));
  t.deepEqual(numbers(log), [7, 8]);
  log.committed(epoch(3));
  t.deepEqual(numbers(log), [7, 8], 'where nothing is known of an epoch, as of the one before');
});

test('what the guest was told before its checkpoint is told apart, and never too much of it', (t) => {
  const { log } = logOf();
  log.add(session, batch(1, 6));
  t.is(log.toldBefore, 0, 'nothing is committed');
  // The message that says it is lost, and then a batch: what is sent again tells.
  log.add(session, batch(9, 2, 1, 4));
  log.add(session, batch(7, 4, 1, 4));
  log.committed(epoch(1));
  t.deepEqual(numbers(log), [4, 5, 6, 7, 8, 9, 10]);
  t.is(log.toldBefore, 3);
  log.add(session, batch(11, 1, 2, 12));
  log.committed(epoch(2));
  t.is(log.toldBefore, 0);
});

test('what there is no room for is not confirmed, and said once', (t) => {
  const { log, warnings } = logOf(250);
  t.is(log.add(session, batch(1, 3)), 2);
  t.is(log.add(session, batch(3, 1)), 2);
  t.deepEqual(warnings, ['E_INPUT_LOG_FULL']);
  log.committed(epoch(1));
  t.is(log.add(session, batch(3, 1, 1, 3)), 3, 'a checkpoint makes room');
  t.deepEqual(numbers(log), [3]);
});

test('another session starts anew, and the old one is not logged any more', (t) => {
  const { log } = logOf();
  log.add(session, batch(1, 3));
  const next = sessionId('00000000000000bb');
  log.begin(next);
  t.is(log.add(session, batch(4, 1)), undefined);
  t.is(log.add(next, batch(1, 1)), 1);
});
