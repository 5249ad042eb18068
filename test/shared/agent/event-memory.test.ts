import test from 'ava';
import { EventMemory } from '../../../shared/agent/event-memory.ts';
import { epoch } from '../../../shared/ids.ts';
import type { AgentEvent, EpochCaptured } from '../../../shared/observe/events.ts';

function startMemory() {
  let seconds = 0;
  const memory = new EventMemory({ now: () => new Date(1000 * seconds) });
  return {
    memory,
    note: (event: AgentEvent, atS = seconds) => {
      seconds = atS;
      memory.note({ ...event, atMs: 1000 * atS });
    },
  };
}

const captured = (number: number, pauseMs: number, pausedAtMs: number): AgentEvent => {
  const counts = { dirtyPages: 0, changedPages: 0, changedBlocks: 0, sharedBlocks: 0 };
  const rounds = { liveRounds: 0, livePages: 0, pausedPages: 0 };
  const phasesMs = { stop: 0, scan: 0, copy: 0, device: 0, resume: 0 };
  const sizes = { encodeMs: 0, wireBytes: 0, pageBytes: 0 };
  const one: EpochCaptured = {
    ...{ epoch: epoch(number), pauseMs, pausedAtMs, phasesMs, ...counts, ...sizes, ...rounds },
    ramDigest: '',
  };
  return { kind: 'epoch', ...one };
};
const state = (from: string, to: string, cause: string): AgentEvent => ({
  ...{ kind: 'state', role: 'primary', from, to, cause },
});

test('the cause of the last loss of protection outlives what comes after it', (t) => {
  const { memory, note } = startMemory();
  t.is(memory.lastLoss, null);
  note(state('enrolling', 'protected', 'term won'), 1);
  note(state('protected', 'claiming', 'the backup is silent'), 2);
  note(state('claiming', 'joining', 'term won'), 3);
  note(state('joining', 'synchronising', 'a backup answered'), 4);
  t.deepEqual(memory.lastLoss, {
    at: '1970-01-01T00:00:02.000Z',
    cause: 'the backup is silent',
  });
  t.is(memory.state, 'synchronising');
  t.is(memory.since, '1970-01-01T00:00:04.000Z');
});

test('the pause is the median and the longest of the last hundred epochs', (t) => {
  const { memory, note } = startMemory();
  t.is(memory.pause, null);
  note(captured(1, 999, 0));
  for (let i = 1; i <= 100; i++) note(captured(i + 1, i, 0));
  t.deepEqual(memory.pause, { medianMs: 51, maxMs: 100, epochs: 100 });
});

test('an epoch that nobody acknowledges is seen to wait', (t) => {
  const { memory, note } = startMemory();
  note(captured(1, 3, 1000));
  note(captured(2, 3, 1100));
  note({ kind: 'ack', epoch: epoch(1), lagMs: 12 });
  t.is(memory.unacknowledgedMs(4100), 3000);
  t.is(memory.lagMs, 12);
  note({ kind: 'ack', epoch: epoch(2), lagMs: 13 });
  t.is(memory.unacknowledgedMs(4200), null);
  t.deepEqual([memory.captured, memory.acknowledged], [2, 2]);
});

test('epochs of a session that is over are not shown as those of the next', (t) => {
  const { memory, note } = startMemory();
  note(captured(5, 3, 1000));
  note(state('protected', 'claiming', 'the backup is silent'));
  t.is(memory.captured, null);
  t.is(memory.unacknowledgedMs(9000), null);
  t.is(memory.pause, null);
});

test('the first epoch of a session still counts once its term is won', (t) => {
  const { memory, note } = startMemory();
  note(captured(1, 3, 1000));
  note({ kind: 'ack', epoch: epoch(1), lagMs: 4 });
  note(state('synchronising', 'enrolling', 'the backup holds epoch 1'));
  note(state('enrolling', 'protected', 'term won'));
  t.deepEqual([memory.captured, memory.acknowledged], [1, 1]);
});

test('the codec in use is that of the session, with its reason', (t) => {
  const { memory, note } = startMemory();
  note(state('joining', 'synchronising', 'a backup answered'), 1);
  note({ kind: 'codec', codec: 'gzip-1', why: 'the link carries 4.00 MB/s' }, 2);
  note(state('enrolling', 'protected', 'term won'), 3);
  const since = new Date(2000).toISOString();
  t.deepEqual(memory.codec, { name: 'gzip-1', why: 'the link carries 4.00 MB/s', since });
  note(state('protected', 'claiming', 'the backup is silent'), 4);
  t.is(memory.codec, null);
});
