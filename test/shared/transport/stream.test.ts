import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { bodyBytesMax, bounds } from '../../../shared/bounds.ts';
import { isUnderstudyError, UnderstudyError } from '../../../shared/errors.ts';
import { epoch, term } from '../../../shared/ids.ts';
import { MemoryBus, type MemoryBusOptions } from '../../../shared/transport/memory-bus.ts';
import { type StreamFrame, StreamReceiver } from '../../../shared/transport/stream-receiver.ts';
import { StreamSender, type StreamSenderOptions } from '../../../shared/transport/stream-sender.ts';
import { encodeFrame } from '../../../shared/wire/frame.ts';

const names = { dataSubject: 'data', creditSubject: 'credit', guest: 11n, session: 22n };
const mib = 1024 * 1024;

function setUp(faults: Partial<MemoryBusOptions> = {}, more: Partial<StreamSenderOptions> = {}) {
  const bus = new MemoryBus({ seed: 1, time: 'real', ...faults });
  const [primary, backup] = [bus.connect(), bus.connect()];
  const got: { kind: string; sequence: number; first: number | undefined }[] = [];
  const errors: unknown[] = [];
  let handle: (frame: StreamFrame) => Promise<void> | void = () => {};
  const receiver = new StreamReceiver({
    ...names,
    transport: backup,
    handler: async (frame) => {
      await handle(frame);
      got.push({ kind: frame.kind, sequence: frame.sequence, first: frame.body[0] });
    },
    onBroken: (error) => errors.push(error),
    onRefused: (error) => errors.push(error),
  });
  const onBroken = (error: UnderstudyError) => errors.push(error);
  const sender = new StreamSender({
    ...names,
    transport: primary,
    term: term(1),
    onBroken,
    ...more,
  });
  const close = async () => {
    sender.close();
    await receiver.close();
  };
  const setHandle = (next: typeof handle) => {
    handle = next;
  };
  return { bus, primary, backup, sender, receiver, got, errors, close, setHandle };
}

async function until(holds: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 120_000;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`not in time: ${what}`);
    await sleep(5);
  }
}

test('frames arrive once, in order and whole over a lossy, doubling, reordering bus', async (t) => {
  const s = setUp({ seed: 5, lossRate: 0.03, duplicateRate: 0.05, delayMsMin: 0, delayMsMax: 3 });
  const count = 300;
  const body = new Uint8Array(5000);
  for (let i = 1; i <= count; i++) {
    // The same memory each time: a frame is the sender's own once it is accepted.
    body[0] = i & 0xff;
    const bytes = await s.sender.send('chunk', epoch(1), [body.subarray(0, 1), body.subarray(1)]);
    t.is(bytes, bounds.frameHeaderBytes + 5000);
  }
  await s.sender.consumed();
  t.deepEqual(
    s.got,
    Array.from({ length: count }, (_, i) => ({
      kind: 'chunk',
      sequence: i + 1,
      first: (i + 1) & 0xff,
    })),
  );
  t.true(s.sender.stats.repairs > 0, 'something was lost and sent again');
  t.deepEqual(s.errors, []);
  await s.close();
});

test('a receiver that does not get on holds the sender up, within the window', async (t) => {
  const s = setUp();
  let open = () => {};
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  s.setHandle(() => gate);
  const body = new Uint8Array(mib);
  let sent = 0;
  const sending = (async () => {
    for (; sent < 40; sent++) await s.sender.send('chunk', epoch(1), [body]);
  })();
  await until(() => sent === 15, 'a full window');
  await sleep(300);
  t.is(sent, 15, '15 frames of 1 MiB and a header fit 16 MiB');
  t.true(s.sender.stats.heldBytes <= bounds.windowBytes);
  t.is(s.sender.stats.sentBytes, s.sender.stats.heldBytes, 'nothing is sent twice for waiting');
  open();
  await sending;
  await s.sender.consumed();
  t.is(s.got.length, 40);
  t.is(s.receiver.stats.duplicates, 0);
  await s.close();
});

test('the handler gets one frame at a time, and its body stays until it is done', async (t) => {
  const s = setUp();
  let inside = 0;
  s.setHandle(async (frame) => {
    inside += 1;
    t.is(inside, 1);
    const before = frame.body[0];
    await sleep(2);
    t.is(frame.body[0], before);
    inside -= 1;
  });
  for (let i = 0; i < 50; i++) {
    await s.sender.send('chunk', epoch(1), [new Uint8Array(1000).fill(i)]);
  }
  await s.sender.consumed();
  t.is(s.got.length, 50);
  await s.close();
});

for (const side of ['primary', 'backup'] as const) {
  test(`a disconnect of the ${side} in the middle loses and doubles nothing`, async (t) => {
    const s = setUp({ delayMsMin: 1, delayMsMax: 1 });
    const cutter = (async () => {
      for (let i = 0; i < 4; i++) {
        await sleep(20);
        s[side].disconnect();
        await sleep(20);
        s[side].reconnect();
      }
    })();
    for (let i = 1; i <= 2000; i++) {
      await s.sender.send('chunk', epoch(1), [Uint8Array.of(i & 0xff)]);
      if (i % 10 === 0) await sleep(1);
    }
    await cutter;
    await s.sender.consumed();
    t.deepEqual(
      s.got.map(({ sequence }) => sequence),
      Array.from({ length: 2000 }, (_, i) => i + 1),
    );
    t.deepEqual(s.errors, []);
    await s.close();
  });
}

test('a sender may start before its receiver and before its connection', async (t) => {
  const bus = new MemoryBus({ seed: 1, time: 'real' });
  const [primary, backup] = [bus.connect(), bus.connect()];
  primary.disconnect();
  const onBroken = (error: unknown) => t.fail(String(error));
  const sender = new StreamSender({ ...names, transport: primary, term: term(1), onBroken });
  await sender.send('begin', epoch(1), []);
  primary.reconnect();
  await sender.send('commit', epoch(1), []);
  await sleep(50);
  const kinds: string[] = [];
  const handler = (frame: StreamFrame) => {
    kinds.push(frame.kind);
  };
  const receiver = new StreamReceiver({ ...names, transport: backup, handler, onBroken });
  await sender.consumed();
  t.deepEqual(kinds, ['begin', 'commit']);
  sender.close();
  await receiver.close();
});

test('damaged frames count as lost and are sent again', async (t) => {
  const s = setUp();
  let damage = 3;
  const subscribed = s.backup.receive.bind(s.backup);
  s.backup.receive = (subject, payload, replyTo) => {
    const copy = new Uint8Array(payload);
    if (subject === 'data' && damage-- > 0) copy[copy.length - 1]! ^= 0x10;
    subscribed(subject, copy, replyTo);
  };
  for (let i = 1; i <= 5; i++) await s.sender.send('chunk', epoch(1), [Uint8Array.of(i)]);
  await s.sender.consumed();
  t.deepEqual(
    s.got.map(({ first }) => first),
    [1, 2, 3, 4, 5],
  );
  t.true(s.receiver.stats.corrupt >= 3);
  await s.close();
});

test('frames of another session are refused and told, and disturb nothing', async (t) => {
  const s = setUp();
  const header = { guest: 11n, session: 99n, term: term(1), epoch: epoch(1), sequence: 1 };
  s.primary.publish('data', encodeFrame({ ...header, kind: 'chunk' }, [Uint8Array.of(7)]));
  await s.sender.send('chunk', epoch(1), [Uint8Array.of(1)]);
  await s.sender.consumed();
  t.is(s.got.length, 1);
  t.true(s.errors.length === 1 && isUnderstudyError(s.errors[0], 'E_FRAME_FOREIGN'));
  t.is(s.receiver.stats.foreign, 1);
  await s.close();
});

test('a frame over the bound is refused and the stream goes on', async (t) => {
  const s = setUp();
  const tooLarge = s.sender.send('chunk', epoch(1), [new Uint8Array(bodyBytesMax + 1)]);
  t.true(isUnderstudyError(await t.throwsAsync(tooLarge), 'E_FRAME_TOO_LARGE'));
  await s.sender.send('chunk', epoch(1), [new Uint8Array(bodyBytesMax)]);
  await s.sender.consumed();
  t.is(s.got.length, 1);
  await s.close();
});

test('what the handler throws ends the stream and reaches its owner once', async (t) => {
  const s = setUp();
  const boom = new UnderstudyError('E_TEST', 'boom', { hint: '' });
  s.setHandle(() => {
    throw boom;
  });
  for (let i = 0; i < 3; i++) await s.sender.send('chunk', epoch(1), [Uint8Array.of(i)]);
  await until(() => s.errors.length > 0, 'the error');
  await sleep(20);
  t.deepEqual(s.errors, [boom]);
  t.deepEqual(s.got, []);
  await s.close();
});

test('closing tells whoever waits, and nothing is sent afterwards', async (t) => {
  const s = setUp();
  s.setHandle(() => new Promise(() => {}));
  const body = new Uint8Array(mib);
  for (let i = 0; i < 15; i++) await s.sender.send('chunk', epoch(1), [body]);
  const waiting = s.sender.send('chunk', epoch(1), [body]);
  const idle = s.sender.consumed();
  s.sender.close();
  for (const promise of [waiting, idle, s.sender.send('abort', epoch(1), [])]) {
    t.true(isUnderstudyError(await t.throwsAsync(promise), 'E_STREAM_CLOSED'));
  }
});

test('a stream whose frames never arrive breaks, and says so to all who wait', async (t) => {
  const limits = {
    windowBytes: 4 * mib,
    windowFrames: 64,
    probeAfterMs: 20,
    repairAfterMs: 10,
    repairsMax: 3,
    stallMs: 60,
  };
  const stalls: (string | undefined)[] = [];
  const s = setUp({}, { limits, onStalled: (error) => stalls.push(error?.code) });
  const receive = s.backup.receive.bind(s.backup);
  s.backup.receive = (subject, payload, replyTo) => {
    // Frames vanish, questions come through.
    if (payload[5] === 1) return;
    receive(subject, payload, replyTo);
  };
  await s.sender.send('begin', epoch(1), []);
  const error = await t.throwsAsync(s.sender.consumed());
  t.true(isUnderstudyError(error, 'E_STREAM_BROKEN'));
  await until(() => s.errors.length > 0, 'the error');
  t.true(isUnderstudyError(s.errors[0], 'E_STREAM_BROKEN'));
  t.true(
    isUnderstudyError(await t.throwsAsync(s.sender.send('begin', epoch(2), [])), 'E_STREAM_BROKEN'),
  );
  t.true(stalls.length <= 1);
  await s.close();
});

test('a stalled receiver is told, and that it moves on', async (t) => {
  const stalls: (string | undefined)[] = [];
  const limits = {
    windowBytes: 4 * mib,
    windowFrames: 64,
    probeAfterMs: 20,
    repairAfterMs: 20,
    repairsMax: 25,
    stallMs: 60,
  };
  const s = setUp({}, { limits, onStalled: (error) => stalls.push(error?.code) });
  s.setHandle(() => sleep(1500));
  await s.sender.send('begin', epoch(1), []);
  await s.sender.consumed();
  t.deepEqual(stalls, ['E_STREAM_STALLED', undefined]);
  t.is(s.receiver.stats.duplicates, 0, 'a slow receiver is not sent the same again');
  await s.close();
});

test('a small frame does not overtake a large one that waits', async (t) => {
  const s = setUp();
  let open = () => {};
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  s.setHandle(() => gate);
  for (let i = 0; i < 15; i++) await s.sender.send('chunk', epoch(1), [new Uint8Array(mib)]);
  const sends = [
    s.sender.send('device', epoch(1), [new Uint8Array(mib)]),
    s.sender.send('commit', epoch(1), []),
  ];
  open();
  await Promise.all(sends);
  await s.sender.consumed();
  t.deepEqual(
    s.got.slice(15).map(({ kind }) => kind),
    ['device', 'commit'],
  );
  await s.close();
});

test('a frame of an older term than the newest that was taken is refused, and counted', async (t) => {
  const s = setUp();
  const terms: number[] = [];
  const receiver = new StreamReceiver({
    ...names,
    ...{ dataSubject: 'data-2', creditSubject: 'credit-2', transport: s.backup },
    handler: (frame) => void s.got.push({ ...frame, first: frame.term }),
    onBroken: (error) => s.errors.push(error),
    onRefused: (error) => s.errors.push(error),
    onTerm: (number) => terms.push(number),
  });
  const say = (sequence: number, of: number) => {
    const { guest, session } = names;
    const header = { kind: 'chunk', guest, session, epoch: epoch(1), sequence } as const;
    s.primary.publish('data-2', encodeFrame({ ...header, term: term(of) }, [Uint8Array.of(1)]));
  };
  say(1, 3);
  say(2, 4);
  // An older one that came twice is no new word; one that claims to be next is refused.
  say(1, 3);
  say(3, 3);
  await until(() => s.errors.length > 0, 'the refusal');
  t.true(isUnderstudyError(s.errors[0], 'E_FRAME_STALE'), String(s.errors[0]));
  t.regex(String(s.errors[0]), /of term 3, and the session is in term 4/);
  say(3, 4);
  await until(() => s.got.length === 3, 'the frames that count');
  t.deepEqual(
    s.got.map(({ first }) => first),
    [3, 4, 4],
  );
  t.deepEqual(terms, [3, 4]);
  t.like(receiver.stats, { stale: 1, duplicates: 1, foreign: 0 });
  await receiver.close();
  await s.close();
});
