import test from 'ava';
import { InputLog } from '../../../backup/input/input-log.ts';
import { asInputLog, HandoverInput } from '../../../primary/output/handover-input.ts';
import { epoch, sessionId } from '../../../shared/ids.ts';
import { networkBounds } from '../../../shared/net/network-bounds.ts';
import { decodeMessage, encodeBody } from '../../../shared/wire/message.ts';

/** A guest that is told frames here, and a backup that is sent them. */
function lab() {
  const told: number[] = [];
  const sent: number[] = [];
  const input = new HandoverInput(({ frame }) => told.push(frame[0]!), ['52:54:00:AB:00:02']);
  const comes = (number: number) => input.takes(0, Uint8Array.of(number));
  const forward = () => input.forward(({ frame }) => sent.push(frame[0]!));
  return { input, told, sent, comes, forward };
}

test('a guest that is not handed over is told what comes', (t) => {
  const { input, comes, forward } = lab();
  input.pausing();
  t.false(comes(1));
  input.resumed();
  forward();
  t.false(comes(2));
  input.begin();
  t.false(comes(3), 'it runs until its last pause');
});

test('what comes from the last pause on goes to the other host, in order, before and after it is asked', (t) => {
  const { input, told, sent, comes, forward } = lab();
  input.begin();
  input.pausing();
  t.true(comes(1));
  t.true(comes(2));
  t.deepEqual(sent, []);
  forward();
  t.true(comes(3));
  t.deepEqual(sent, [1, 2, 3]);
  input.dropped();
  input.ended();
  t.deepEqual(told, [], 'the copy here is told nothing');
});

test('a switchover that comes to nothing: the guest here is told all of it, also what was forwarded', (t) => {
  const { input, told, comes, forward } = lab();
  input.begin();
  input.pausing();
  comes(1);
  forward();
  comes(2);
  input.ended();
  t.deepEqual(told, [1, 2]);
  t.false(comes(3));
});

test('a last checkpoint that fails: the guest here is told all of it when it runs on', (t) => {
  const { input, told, comes } = lab();
  input.begin();
  input.pausing();
  comes(1);
  input.resumed();
  t.deepEqual(told, [1]);
  t.false(comes(2));
  input.ended();
  t.deepEqual(told, [1]);
});

test('it is bounded in bytes and in frames: what comes last is dropped, and counted', (t) => {
  const { input, sent, forward } = lab();
  input.begin();
  input.pausing();
  const large = new Uint8Array(networkBounds.frameBytesMax);
  for (let at = 0; at < 100; at++) t.true(input.takes(0, large));
  const fit = Math.floor(networkBounds.handoverBytesMax / (large.length + 8));
  t.is(input.droppedFrames, 100 - fit);
  forward();
  t.is(sent.length, fit);
  input.ended();
  input.begin();
  input.pausing();
  for (let at = 0; at <= networkBounds.handoverFramesMax; at++) input.takes(0, Uint8Array.of(1));
  t.is(input.droppedFrames, 100 - fit + 1);
});

test('what the guest itself says elsewhere is not told to it', (t) => {
  const { input, sent, forward } = lab();
  input.begin();
  input.pausing();
  const own = Buffer.from('ffffffffffff525400ab00020806', 'hex');
  t.true(input.takes(0, own));
  const other = Buffer.from('525400ab00025254000000010800', 'hex');
  t.true(input.takes(0, other));
  forward();
  t.deepEqual(sent, [0x52]);
});

test('a view that is used again by its owner does not change what was kept', (t) => {
  const { input, sent, forward } = lab();
  input.begin();
  input.pausing();
  const view = Uint8Array.of(1);
  input.takes(0, view);
  view[0] = 9;
  forward();
  t.deepEqual(sent, [1]);
});

test('the backup logs what was forwarded, and tells it once', (t) => {
  const session = sessionId('0011223344556677');
  const log = new InputLog(2 ** 20, (error) => t.fail(error.message));
  log.begin(session);
  log.committed(epoch(7));
  const send = asInputLog(epoch(7), (message) => {
    const body = Buffer.concat(encodeBody(message));
    const came = decodeMessage({ kind: 'input-log', epoch: epoch(7), body });
    if (came.kind === 'input-log') log.add(session, came);
  });
  for (const number of [1, 2, 3]) send({ card: 0, frame: Uint8Array.of(number) });
  t.deepEqual(
    log.toReplay.map(({ frame }) => frame[0]),
    [1, 2, 3],
  );
  t.is(log.last, 3);
  t.deepEqual(
    log.after(2).map(({ frame }) => frame[0]),
    [3],
  );
  t.deepEqual(log.after(3), []);
});
