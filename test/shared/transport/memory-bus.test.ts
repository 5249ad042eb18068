import test from 'ava';
import { isUnderstudyError } from '../../../shared/errors.ts';
import { MemoryBus } from '../../../shared/transport/memory-bus.ts';

const bytes = (n: number) => Uint8Array.of(n);

function listen(bus: MemoryBus, subject: string): number[] {
  const heard: number[] = [];
  bus.connect().subscribe(subject, (payload) => heard.push(payload[0]!));
  return heard;
}

test('a bus without faults delivers to each listener, in order', (t) => {
  const bus = new MemoryBus({ seed: 1, time: 'virtual' });
  const [a, b, other] = [listen(bus, 's'), listen(bus, 's'), listen(bus, 'x')];
  const from = bus.connect();
  for (let i = 0; i < 5; i++) t.true(from.publish('s', bytes(i)));
  t.deepEqual(a, [], 'nothing acts inside publish');
  bus.advance(0);
  t.deepEqual([a, b, other], [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4], []]);
});

test('the same seed gives the same losses, doubles and order', (t) => {
  const run = (seed: number) => {
    const faults = { lossRate: 0.2, duplicateRate: 0.2, delayMsMin: 1, delayMsMax: 20 };
    const bus = new MemoryBus({ seed, time: 'virtual', ...faults });
    const heard = listen(bus, 's');
    const from = bus.connect();
    for (let i = 0; i < 100; i++) from.publish('s', bytes(i));
    bus.advance(100);
    return heard;
  };
  const heard = run(7);
  t.deepEqual(run(7), heard);
  t.notDeepEqual(run(8), heard);
  t.true(new Set(heard).size < 100, 'some are lost');
  t.true(heard.length > new Set(heard).size, 'some come twice');
  t.notDeepEqual(
    heard,
    [...heard].sort((a, b) => a - b),
    'some overtake',
  );
});

test('a payload may be reused after publish', (t) => {
  const bus = new MemoryBus({ seed: 1, time: 'virtual' });
  const heard = listen(bus, 's');
  const payload = Buffer.from([1]);
  bus.connect().publish('s', payload);
  payload[0] = 9;
  bus.advance(0);
  t.deepEqual(heard, [1]);
});

test('a disconnect refuses what is published and takes along what is under way', (t) => {
  const bus = new MemoryBus({ seed: 1, time: 'virtual', delayMsMin: 5, delayMsMax: 5 });
  const heard = listen(bus, 's');
  const from = bus.connect();
  const told: boolean[] = [];
  from.onStatus((connected) => told.push(connected));
  from.publish('s', bytes(1));
  from.disconnect();
  t.false(from.publish('s', bytes(2)));
  bus.advance(10);
  from.reconnect();
  t.true(from.publish('s', bytes(3)));
  bus.advance(10);
  t.deepEqual(heard, [3]);
  t.deepEqual(told, [false, true]);
});

test('a request gets its answer, or the code of why there is none', async (t) => {
  const bus = new MemoryBus({ seed: 1, time: 'virtual' });
  const [asks, answers] = [bus.connect(), bus.connect()];
  answers.subscribe('double', (payload, reply) => reply(bytes(payload[0]! * 2)));
  answers.subscribe('mute', () => {});
  const answer = asks.request('double', bytes(4), 100);
  bus.advance(1);
  t.deepEqual([...(await answer)], [8]);
  const late = asks.request('mute', bytes(1), 100);
  bus.advance(101);
  t.true(isUnderstudyError(await t.throwsAsync(late), 'E_TRANSPORT_TIMEOUT'));
  const nobody = asks.request('nobody', bytes(1), 100);
  t.true(isUnderstudyError(await t.throwsAsync(nobody), 'E_TRANSPORT_NO_RESPONDER'));
  asks.disconnect();
  const cut = asks.request('double', bytes(1), 100);
  t.true(isUnderstudyError(await t.throwsAsync(cut), 'E_TRANSPORT_DISCONNECTED'));
});

test('a payload over the bound is refused with a code', (t) => {
  const bus = new MemoryBus({ seed: 1, time: 'virtual', payloadBytesMax: 10 });
  const error = t.throws(() => bus.connect().publish('s', new Uint8Array(11)));
  t.true(isUnderstudyError(error, 'E_TRANSPORT_PAYLOAD'));
});
