import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { isUnderstudyError, type UnderstudyError } from '../../../shared/errors.ts';
import { epoch, type GuestName, sessionId, term } from '../../../shared/ids.ts';
import { ControlChannel, type Side } from '../../../shared/transport/control-channel.ts';
import { MemoryBus } from '../../../shared/transport/memory-bus.ts';
import { subjectsOf } from '../../../shared/transport/subjects.ts';
import { decodeFrame } from '../../../shared/wire/frame.ts';
import { encodeMessage } from '../../../shared/wire/message.ts';

const guest = 'lab' as GuestName;
const session = sessionId('00000000000000aa');
const about = (of: number) => ({ session, term: term(of) });
const ack = { kind: 'ack', epoch: epoch(7) } as const;
const standDown = { kind: 'stand-down', agent: '0011223344556677', reason: 'r' } as const;

function pair(listener: Side) {
  const bus = new MemoryBus({ seed: 1, time: 'real' });
  const speaker = listener === 'primary' ? 'backup' : 'primary';
  const here = new ControlChannel(bus.connect(), guest, listener);
  const there = new ControlChannel(bus.connect(), guest, speaker);
  const heard: { kind: string; term: number }[] = [];
  const told: UnderstudyError[] = [];
  here.listen(
    ({ message, term: of }) => heard.push({ kind: message.kind, term: of }),
    (error) => told.push(error as UnderstudyError),
  );
  return { bus, here, there, heard, told };
}

const settle = () => sleep(30);

for (const [side, message] of [
  ['primary', ack],
  ['backup', standDown],
] as const) {
  test(`a ${side} takes nothing of its session with a lower term, and counts what it refuses`, async (t) => {
    const { here, there, heard, told } = pair(side);
    here.enter(about(3), 2);
    here.raise(term(4));
    for (let count = 0; count < 10; count++) there.send(about(3), message);
    there.send(about(4), message);
    there.send({ session: sessionId('00000000000000bb'), term: term(1) }, message);
    await settle();
    t.deepEqual(heard, [
      { kind: message.kind, term: 4 },
      { kind: message.kind, term: 1 },
    ]);
    t.is(here.refusals.of('E_FRAME_STALE'), 10);
    t.is(told.length, 1, 'a few are normal where a term changes');
    t.regex(told[0]!.message, /term 3, and the session is in term 4 \(10 so far\)/);
  });

  test(`a ${side} takes nothing of another guest, and tells of the first and the tenth`, async (t) => {
    const { bus, here, heard, told } = pair(side);
    const stranger = bus.connect();
    const subjects = subjectsOf(guest);
    const subject = side === 'primary' ? subjects.controlToPrimary : subjects.controlToBackup;
    const from = { guest: 12n, session: 0xaan, term: term(9) };
    for (let count = 0; count < 12; count++) {
      stranger.publish(subject, encodeMessage(from, message));
    }
    await settle();
    t.deepEqual(heard, []);
    t.is(here.refusals.of('E_FRAME_FOREIGN'), 12);
    t.deepEqual(
      told.map(({ code, fields }) => [code, fields.count]),
      [
        ['E_FRAME_FOREIGN', 1],
        ['E_FRAME_FOREIGN', 10],
      ],
    );
  });
}

test('what is said in a session carries its highest term, where both sides know of that', async (t) => {
  for (const [protocol, expected] of [
    [2, 5],
    [1, 3],
  ] as const) {
    const { there, heard } = pair('primary');
    there.enter(about(3), protocol);
    there.raise(term(5));
    there.raise(term(4));
    there.send(about(3), ack);
    await settle();
    t.deepEqual(heard, [{ kind: 'ack', term: expected }], `protocol ${protocol}`);
  }
});

test('with a peer that knows protocol 1 alone, an acknowledgement in the term of HELLO counts', async (t) => {
  const { here, there, heard } = pair('primary');
  here.enter(about(3), 1);
  here.raise(term(4));
  there.send(about(3), ack);
  await settle();
  t.deepEqual(heard, [{ kind: 'ack', term: 3 }]);
});

test('a request in another frame version is answered, so that both sides know both versions', async (t) => {
  const { bus, told } = pair('backup');
  const asker = bus.connect();
  const frame = encodeMessage({ guest: 12n, session: 0xaan, term: term(9) }, standDown);
  frame[4] = 9;
  const answer = await asker.request(subjectsOf(guest).controlToBackup, frame, 1000);
  t.regex(told[0]!.message, /a frame of version 9 came, and this side speaks frame version 1/);
  // What a release of version 9 sees: a frame of a version that it does not know, with its number.
  t.is(answer[4], 1);
  t.is(decodeFrame(answer).kind, 'refuse');
  const back = Uint8Array.from(answer);
  back[4] = 9;
  const error = t.throws(() => decodeFrame(back));
  t.true(isUnderstudyError(error, 'E_FRAME_VERSION'));
});
