import test from 'ava';
import { defaultGateLimits, HeldOutput } from '../../../primary/output/held-output.ts';
import { monotonicClock } from '../../../shared/clock.ts';

function setUp() {
  const out: number[] = [];
  const held = new HeldOutput({
    ...{ clock: monotonicClock, mode: 'commit', limits: defaultGateLimits },
    release: (_card, frame) => void out.push(frame[0]!),
    onCheckpointWanted: () => {},
    onReading: () => {},
  });
  const say = (...bytes: number[]) => {
    for (const byte of bytes) held.frame(0, Uint8Array.of(byte));
  };
  return { held, out, say };
}

test('what is held leaves with its epoch, in order', (t) => {
  const { held, out, say } = setUp();
  say(1, 2);
  held.barrier(1);
  say(3);
  held.acknowledged(1);
  t.deepEqual(out, [1, 2]);
  held.barrier(2);
  held.acknowledged(2);
  t.deepEqual(out, [1, 2, 3]);
});

test('a release that is in doubt ends at once: what is left of it never leaves', (t) => {
  const { held, out, say } = setUp();
  say(1, 2, 3);
  held.barrier(1);
  say(4);
  let asked = 0;
  held.acknowledged(1, () => ++asked < 2);
  t.deepEqual(out, [1]);
  held.barrier(2);
  held.acknowledged(2);
  t.deepEqual(out, [1, 4]);
  t.is(held.counts.discardedFrames, 2);
  t.is(held.counts.heldFrames, 0);
});
