import test from 'ava';
import fc from 'fast-check';
import { defaultGateLimits, HeldOutput } from '../../../primary/output/held-output.ts';
import type { GateLimits, GateMode } from '../../../primary/output/output-gate.ts';
import { monotonicClock } from '../../../shared/clock.ts';
import { epoch } from '../../../shared/ids.ts';
import { networkBounds } from '../../../shared/net/network-bounds.ts';

const overhead = networkBounds.heldFrameOverheadBytes;

/** A gate whose frames are numbered, and what became of them. */
function numberedGate(mode: GateMode = 'commit', limits: GateLimits = defaultGateLimits) {
  const released: number[] = [];
  const readings: boolean[] = [];
  let wanted = 0;
  let sent = 0;
  const gate = new HeldOutput({
    clock: monotonicClock,
    mode,
    limits,
    release: (card, frame) => {
      const number = Buffer.from(frame).readUInt32BE(0);
      if (card !== number % 3) throw new Error(`frame ${number} left by card ${card}`);
      released.push(number);
    },
    onCheckpointWanted: () => wanted++,
    onReading: (reading) => readings.push(reading),
  });
  // One buffer for all frames, overwritten: the gate has to copy what it keeps.
  const shared = Buffer.alloc(1000);
  return {
    gate,
    released,
    readings,
    wanted: async () => {
      await new Promise(setImmediate);
      return wanted;
    },
    send: (count = 1, bytes = 60) => {
      for (let index = 0; index < count; index++) {
        const number = sent++;
        shared.writeUInt32BE(number, 0);
        gate.frame(number % 3, shared.subarray(0, bytes));
      }
    },
  };
}

const upTo = (count: number) => Array.from({ length: count }, (_, index) => index);

test('nothing leaves before the epoch that it belongs to is acknowledged', (t) => {
  const { gate, released, send } = numberedGate();
  send(3);
  gate.barrier(epoch(1));
  send(2);
  gate.barrier(epoch(2));
  send(4);
  t.deepEqual(released, []);
  gate.acknowledged(epoch(1));
  t.deepEqual(released, upTo(3));
  gate.acknowledged(epoch(2));
  t.deepEqual(released, upTo(5));
  t.is(gate.counts.heldFrames, 4);
});

test('an acknowledgement covers the epochs before it, and counts once', (t) => {
  const { gate, released, send } = numberedGate();
  send();
  gate.barrier(epoch(1));
  send();
  gate.barrier(epoch(2));
  gate.acknowledged(epoch(2));
  gate.acknowledged(epoch(2));
  gate.acknowledged(epoch(1));
  t.deepEqual(released, upTo(2));
});

test('output of a session that ended waits for an epoch of the next one', (t) => {
  const { gate, released, send } = numberedGate();
  send();
  gate.barrier(epoch(1));
  send();
  gate.barrier(epoch(2));
  gate.sessionEnded();
  send();
  gate.barrier(epoch(1));
  t.deepEqual(released, []);
  gate.acknowledged(epoch(1));
  t.deepEqual(released, upTo(3));
});

test('won alone: all leaves in order, and what follows leaves at once', (t) => {
  const { gate, released, send } = numberedGate();
  send(2);
  gate.barrier(epoch(1));
  send(2);
  gate.releaseAll();
  send(2);
  t.deepEqual(released, upTo(6));
  gate.hold();
  send();
  t.deepEqual(released, upTo(6));
});

test('superseded: nothing leaves any more, whatever comes after', (t) => {
  const { gate, released, send } = numberedGate();
  send(2);
  gate.barrier(epoch(1));
  gate.drop();
  send();
  gate.acknowledged(epoch(1));
  gate.releaseAll();
  gate.hold();
  gate.barrier(epoch(2));
  gate.acknowledged(epoch(2));
  send();
  t.deepEqual(released, []);
  t.is(gate.counts.discardedFrames, 4);
  t.is(gate.counts.heldBytes, 0);
});

test('a gate that begins to hold within a session takes its acknowledgements', (t) => {
  const { gate, released, send } = numberedGate();
  gate.releaseAll();
  gate.barrier(epoch(1));
  gate.hold();
  send();
  gate.acknowledged(epoch(1));
  t.deepEqual(released, []);
  gate.barrier(epoch(2));
  gate.acknowledged(epoch(2));
  t.deepEqual(released, [0]);
});

test('an acknowledgement without a barrier, and a barrier out of order, are broken invariants', (t) => {
  for (const passing of [false, true]) {
    const { gate } = numberedGate();
    if (passing) gate.releaseAll();
    t.throws(() => gate.acknowledged(epoch(1)));
    gate.barrier(epoch(2));
    t.throws(() => gate.barrier(epoch(2)));
    t.throws(() => gate.acknowledged(epoch(3)));
  }
});

test('unsafe never holds, and still is silent once superseded', (t) => {
  const { gate, released, send } = numberedGate('unsafe');
  send();
  gate.hold();
  gate.barrier(epoch(1));
  send();
  t.deepEqual(released, upTo(2));
  gate.drop();
  send();
  t.deepEqual(released, upTo(2));
});

/** Room for ten frames of 60 bytes. */
const small: GateLimits = {
  ...{ bytesMax: 10 * (60 + overhead), framesMax: 1000 },
  ...{ nearlyFullShare: 0.5, resumeShare: 0.75, reserveBytes: 5 * (60 + overhead) },
};

test('nearly full asks for one checkpoint; full stops reading and drops nothing', async (t) => {
  const { gate, released, readings, send, wanted } = numberedGate('commit', small);
  send(4);
  t.is(await wanted(), 0);
  send(1);
  t.is(await wanted(), 1);
  send(4);
  t.is(await wanted(), 1);
  t.deepEqual(readings, []);
  send(1);
  t.deepEqual(readings, [false]);
  // What a socket had read already still comes.
  send(3);
  gate.pausing();
  t.deepEqual(readings, [false, true]);
  gate.barrier(epoch(1));
  gate.resumed();
  t.deepEqual(readings, [false, true, false]);
  gate.acknowledged(epoch(1));
  t.deepEqual(readings, [false, true, false, true]);
  t.deepEqual(released, upTo(13));
  t.is(gate.counts.fullTimes, 2);
});

test('QEMU is read while it is being stopped, or it would never stop; up to a reserve', (t) => {
  const { gate, readings, send } = numberedGate('commit', small);
  send(10);
  gate.pausing();
  send(4);
  t.deepEqual(readings, [false, true]);
  send(1);
  t.deepEqual(readings, [false, true, false]);
});

test('a checkpoint that is closed is not asked for again', async (t) => {
  const { gate, send, wanted } = numberedGate('commit', small);
  send(6);
  gate.barrier(epoch(1));
  t.is(await wanted(), 1);
  gate.pausing();
  gate.resumed();
  t.is(await wanted(), 1);
  send(1);
  t.is(await wanted(), 2);
});

test('the number of frames is bounded too', (t) => {
  const { readings, send } = numberedGate('commit', { ...small, bytesMax: 1e9, framesMax: 20 });
  send(19);
  t.deepEqual(readings, []);
  send(1);
  t.deepEqual(readings, [false]);
});

test('whoever waits for the gate with a full gate gets it read again', (t) => {
  for (const way of ['releaseAll', 'drop'] as const) {
    const { gate, readings, send } = numberedGate('commit', small);
    send(10);
    gate[way]();
    t.deepEqual(readings, [false, true], way);
  }
});

type Action =
  | { readonly kind: 'send'; readonly count: number; readonly bytes: number }
  | { readonly kind: 'barrier' }
  /** Of those barriers that are not acknowledged: how many eighths of them. */
  | { readonly kind: 'acknowledge'; readonly share: number }
  | { readonly kind: 'sessionEnded' | 'hold' | 'releaseAll' | 'drop' | 'pausing' | 'resumed' };

const action = fc.oneof<fc.WeightedArbitrary<Action>[]>(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('send' as const),
      count: fc.integer({ min: 1, max: 5 }),
      bytes: fc.integer({ min: 14, max: 900 }),
    }),
  },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('barrier' as const) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('acknowledge' as const),
      share: fc.integer({ min: 1, max: 8 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        ...(['sessionEnded', 'hold', 'releaseAll', 'pausing', 'resumed'] as const),
      ),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('drop' as const) }) },
);

/**
 * Judges without sharing the gate's books: of each frame it knows the time of its arrival, of the
 * backup the time of the latest state that it holds in this session's epochs.
 */
test('whatever happens: covered, in order, once, none lost, silent when superseded', (t) => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 120 }), (actions) => {
      const arrivedAt: number[] = [];
      const releasedNumbers: number[] = [];
      let time = 0;
      let coveredTo = -1;
      let mayPass = false;
      let isDropped = false;
      let barriers: number[] = [];
      let acknowledged = 0;
      const gate = new HeldOutput({
        clock: monotonicClock,
        mode: 'commit',
        limits: small,
        release: (_card, frame) => {
          const number = Buffer.from(frame).readUInt32BE(0);
          if (isDropped) throw new Error(`frame ${number} left a superseded copy`);
          if (!mayPass && arrivedAt[number]! >= coveredTo) {
            throw new Error(`frame ${number} left uncovered`);
          }
          if (number !== releasedNumbers.length) throw new Error(`frame ${number} out of order`);
          releasedNumbers.push(number);
        },
        onCheckpointWanted: () => {},
        onReading: () => {},
      });
      for (const one of actions) {
        time++;
        switch (one.kind) {
          case 'send':
            for (let index = 0; index < one.count; index++) {
              const frame = Buffer.alloc(one.bytes);
              frame.writeUInt32BE(arrivedAt.length);
              arrivedAt.push(time);
              gate.frame(0, frame);
            }
            break;
          case 'barrier':
            barriers.push(time);
            gate.barrier(epoch(barriers.length));
            break;
          case 'acknowledge': {
            const next = Math.ceil((one.share * barriers.length) / 8);
            if (next === 0) break;
            acknowledged = Math.max(acknowledged, next);
            coveredTo = Math.max(coveredTo, barriers[acknowledged - 1]!);
            gate.acknowledged(epoch(next));
            break;
          }
          case 'sessionEnded':
            barriers = [];
            acknowledged = 0;
            gate.sessionEnded();
            break;
          case 'hold':
            mayPass = false;
            gate.hold();
            break;
          case 'releaseAll':
            mayPass = true;
            gate.releaseAll();
            break;
          case 'drop':
            isDropped = true;
            gate.drop();
            break;
          default:
            gate[one.kind]();
        }
      }
      const { heldFrames, discardedFrames } = gate.counts;
      t.is(releasedNumbers.length + heldFrames + discardedFrames, arrivedAt.length);
      if (isDropped) return;
      t.is(discardedFrames, 0);
      // Nothing is stuck: one more epoch, acknowledged, and everything is out.
      time++;
      barriers.push(time);
      coveredTo = time;
      gate.barrier(epoch(barriers.length));
      gate.acknowledged(epoch(barriers.length));
      t.is(releasedNumbers.length, arrivedAt.length);
    }),
    { numRuns: 2000 },
  );
});
