import test from 'ava';
import { ReceiveWindow } from '../../../shared/transport/receive-window.ts';
import {
  defaultSendLimits,
  type SendLimits,
  SendWindow,
} from '../../../shared/transport/send-window.ts';
import type { Credit } from '../../../shared/wire/flow-body.ts';
import { simulateWindows } from './window-simulation.ts';

const limits: SendLimits = { ...defaultSendLimits, windowBytes: 1000, windowFrames: 64 };
const calm = {
  frames: 400,
  frameBytes: 100,
  lossRate: 0,
  duplicateRate: 0,
  delayMsMax: 0,
  disconnectRate: 0,
  handleMsMax: 0,
  limits,
};
const allInOrder = Array.from({ length: 400 }, (_, i) => i + 1);

test('over a bus without faults each frame is sent once and delivered once, in order', (t) => {
  const result = simulateWindows({ ...calm, seed: 1 });
  t.deepEqual(result.delivered, allInOrder);
  t.is(result.transmissions, 400);
  t.is(result.broken, undefined);
});

test('whatever is lost, doubled, reordered or cut off: each frame once, in order, in bounds', (t) => {
  for (let seed = 1; seed <= 150; seed++) {
    const options = {
      ...calm,
      seed,
      lossRate: (seed % 5) * 0.04,
      duplicateRate: (seed % 3) * 0.1,
      delayMsMax: seed % 4 === 0 ? 30 : 0.9,
      disconnectRate: (seed % 7) * 0.0007,
      handleMsMax: seed % 2 === 0 ? 5 : 0,
    };
    const result = simulateWindows(options);
    t.is(result.broken, undefined, `seed ${seed}: ${JSON.stringify(options)}`);
    t.deepEqual(result.delivered, allInOrder, `seed ${seed}`);
    t.true(result.heldBytesMax <= 1000, `seed ${seed} held ${result.heldBytesMax}`);
    t.true(result.queuedBytesMax <= 1000, `seed ${seed} queued ${result.queuedBytesMax}`);
  }
});

test('a bus that delivers nothing breaks no stream, but is told as a stall', (t) => {
  const result = simulateWindows({ ...calm, seed: 1, lossRate: 1 });
  t.deepEqual(result.delivered, []);
  t.is(result.stalls, 1);
  t.is(result.transmissions, 10, 'nothing is sent twice without being asked for');
});

const credit = (fields: Partial<Credit>): Credit => ({
  kind: 'credit',
  report: 1,
  consumed: 1,
  expected: 1,
  repair: false,
  ...fields,
});

function senderWith(frames: number): SendWindow {
  const window = new SendWindow(true, limits);
  for (let i = 0; i < frames; i++) {
    window.step({ kind: 'accepted', bytes: 100, nowMs: 0 });
    window.step({ kind: 'transmitted' });
  }
  return window;
}

/** Hands everything that is due to the bus. */
function transmitAll(window: SendWindow): void {
  while (window.toTransmit !== undefined) window.step({ kind: 'transmitted' });
}

test('the sender waits when the window is full, and goes on with credit', (t) => {
  const window = senderWith(10);
  t.false(window.hasRoom(100));
  t.throws(() => window.step({ kind: 'accepted', bytes: 100, nowMs: 0 }));
  const effects = window.step({
    kind: 'credit',
    credit: credit({ consumed: 4, expected: 8 }),
    nowMs: 1,
  });
  t.deepEqual(effects, [{ kind: 'release', frames: 3 }]);
  t.true(window.hasRoom(300));
  t.false(window.hasRoom(301));
});

test('a frame larger than the window still goes, alone', (t) => {
  const window = senderWith(0);
  t.true(window.hasRoom(5000));
  window.step({ kind: 'accepted', bytes: 5000, nowMs: 0 });
  t.false(window.hasRoom(1));
});

test('a report that comes late or twice changes nothing', (t) => {
  const window = senderWith(10);
  window.step({
    kind: 'credit',
    credit: credit({ report: 5, consumed: 4, expected: 8 }),
    nowMs: 1,
  });
  const late = credit({ report: 4, consumed: 2, expected: 3, repair: true });
  t.deepEqual(window.step({ kind: 'credit', credit: late, nowMs: 2 }), []);
  t.is(window.toTransmit, undefined);
  t.is(window.heldFrames, 7);
});

test('a gap is sent again from its start', (t) => {
  const window = senderWith(6);
  const effects = window.step({
    kind: 'credit',
    credit: credit({ consumed: 2, expected: 3, repair: true }),
    nowMs: 1,
  });
  t.deepEqual(effects, [
    { kind: 'release', frames: 1 },
    { kind: 'repairing', from: 3 },
  ]);
  t.is(window.toTransmit, 1, 'frame 3 is one after the oldest');
});

test('one loss that is reported twice is repaired once', (t) => {
  const window = senderWith(6);
  const ask = (report: number, nowMs: number) =>
    window.step({ kind: 'credit', credit: credit({ report, expected: 3, repair: true }), nowMs });
  t.is(ask(1, 1).length, 1);
  transmitAll(window);
  t.deepEqual(ask(2, 5), []);
  t.is(ask(3, 1 + limits.repairAfterMs).length, 1);
});

test('repairs without progress are bounded: the stream breaks', (t) => {
  const window = senderWith(6);
  let nowMs = 0;
  let broken: string | undefined;
  for (let report = 1; report <= limits.repairsMax + 1; report++) {
    nowMs += limits.repairAfterMs;
    transmitAll(window);
    t.is(broken, undefined, `after ${report - 1} repairs`);
    const given = credit({ report, expected: 3, repair: true });
    for (const effect of window.step({ kind: 'credit', credit: given, nowMs })) {
      if (effect.kind === 'broken') broken = effect.reason;
    }
  }
  t.regex(broken ?? '', /frame 3 did not arrive/);
  t.is(window.toTransmit, undefined, 'a broken stream sends nothing');
});

test('a receiver that claims what was never sent, or goes back, breaks the stream', (t) => {
  const ahead = senderWith(3).step({ kind: 'credit', credit: credit({ expected: 5 }), nowMs: 1 });
  t.is(ahead[0]?.kind, 'broken');
  const window = senderWith(3);
  window.step({ kind: 'credit', credit: credit({ consumed: 3, expected: 3 }), nowMs: 1 });
  const back = window.step({
    kind: 'credit',
    credit: credit({ report: 2, expected: 2 }),
    nowMs: 2,
  });
  t.is(back[0]?.kind, 'broken');
});

test('after a reconnect nothing goes out before the receiver has said where to go on', (t) => {
  const window = senderWith(6);
  window.step({ kind: 'disconnected' });
  t.is(window.toTransmit, undefined);
  t.deepEqual(window.step({ kind: 'connected', nowMs: 10 }), [{ kind: 'probe', next: 7 }]);
  window.step({ kind: 'accepted', bytes: 100, nowMs: 10 });
  t.is(window.toTransmit, undefined);
  window.step({ kind: 'credit', credit: credit({ consumed: 2, expected: 5 }), nowMs: 11 });
  t.is(window.toTransmit, 3, 'frame 5, three after the oldest');
});

test('a question that stays without an answer is asked again', (t) => {
  const window = senderWith(2);
  const asked: number[] = [];
  for (let nowMs = 0; nowMs <= 1000; nowMs += 20) {
    for (const effect of window.step({ kind: 'tick', nowMs })) {
      if (effect.kind === 'probe') asked.push(nowMs);
    }
  }
  t.deepEqual(asked, [200, 400, 600, 800, 1000]);
});

test('a stall is told once, and its end too', (t) => {
  const window = senderWith(2);
  const stalled = window.step({ kind: 'tick', nowMs: limits.stallMs });
  t.true(stalled.some(({ kind }) => kind === 'stalled'));
  t.false(
    window.step({ kind: 'tick', nowMs: limits.stallMs + 1 }).some((e) => e.kind === 'stalled'),
  );
  const given = credit({ consumed: 2, expected: 3 });
  const effects = window.step({ kind: 'credit', credit: given, nowMs: limits.stallMs + 2 });
  t.deepEqual(
    effects.map(({ kind }) => kind),
    ['release', 'moving'],
  );
});

test('the receiver grants credit by quarters of the window, and for the rest a little later', (t) => {
  const window = new ReceiveWindow(true);
  const mib = 1024 * 1024;
  const reports: number[] = [];
  for (let sequence = 1; sequence <= 8; sequence++) {
    window.step({ kind: 'frame', sequence, bytes: mib, nowMs: 0 });
    for (const effect of window.step({ kind: 'consumed', bytes: mib, nowMs: 0 })) {
      if (effect.kind === 'report') reports.push(effect.credit.consumed);
    }
  }
  t.deepEqual(reports, [5, 9]);
  window.step({ kind: 'frame', sequence: 9, bytes: 10, nowMs: 5 });
  t.is(window.dueAtMs, undefined);
  window.step({ kind: 'consumed', bytes: 10, nowMs: 5 });
  t.is(window.dueAtMs, 7);
  const [effect] = window.step({ kind: 'tick', nowMs: 7 });
  t.true(effect?.kind === 'report' && effect.credit.consumed === 10);
  t.is(window.dueAtMs, undefined);
});

test('credit follows what was consumed, not what has arrived', (t) => {
  const window = new ReceiveWindow(true);
  window.step({ kind: 'frame', sequence: 1, bytes: 10, nowMs: 0 });
  const [effect] = window.step({ kind: 'probe', next: 2, nowMs: 1 });
  t.true(effect?.kind === 'report' && effect.credit.consumed === 1 && effect.credit.expected === 2);
  t.throws(() => {
    window.step({ kind: 'consumed', bytes: 10, nowMs: 1 });
    window.step({ kind: 'consumed', bytes: 10, nowMs: 1 });
  });
});

test('a gap that never heals ends the receiver as well', (t) => {
  const window = new ReceiveWindow(true);
  window.step({ kind: 'frame', sequence: 2, bytes: 10, nowMs: 0 });
  let ticks = 0;
  for (; ticks < 100; ticks++) {
    const dueAtMs = window.dueAtMs;
    if (dueAtMs === undefined) break;
    const effects = window.step({ kind: 'tick', nowMs: dueAtMs });
    if (effects.some(({ kind }) => kind === 'broken')) break;
  }
  t.is(ticks, 25);
  t.is(window.dueAtMs, undefined);
});

test('a receiver that comes back asks at once for what went past it', (t) => {
  const window = new ReceiveWindow(true);
  window.step({ kind: 'frame', sequence: 1, bytes: 10, nowMs: 0 });
  window.step({ kind: 'disconnected' });
  window.step({ kind: 'consumed', bytes: 10, nowMs: 1 });
  t.is(window.dueAtMs, undefined, 'nothing can be reported');
  const credit: Credit = { kind: 'credit', report: 1, consumed: 2, expected: 2, repair: true };
  t.deepEqual(window.step({ kind: 'connected', nowMs: 5 }), [{ kind: 'report', credit }]);
});
