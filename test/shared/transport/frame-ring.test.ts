import test from 'ava';
import fc from 'fast-check';
import { FrameRing } from '../../../shared/transport/frame-ring.ts';

test('frames keep their bytes and their order until they are let go', (t) => {
  const property = fc.property(
    fc.array(fc.oneof(fc.integer({ min: 1, max: 20 }), fc.constant(0)), { maxLength: 200 }),
    (steps) => {
      const ring = new FrameRing(50, 8);
      const model: Uint8Array[] = [];
      let next = 1;
      for (const step of steps) {
        if (step === 0) {
          if (model.length === 0) continue;
          ring.shift();
          model.shift();
          continue;
        }
        const place = ring.push(step);
        if (place === undefined) continue;
        t.is(place.byteLength, step);
        place.fill(next & 0xff);
        model.push(new Uint8Array(step).fill(next & 0xff));
        next += 1;
      }
      t.is(ring.count, model.length);
      for (const [index, expected] of model.entries()) t.deepEqual(ring.at(index), expected);
    },
  );
  t.notThrows(() => fc.assert(property, { numRuns: 500 }));
});

test('a ring of a window and two frames always has room for a window of frames', (t) => {
  const [windowBytes, frameMax] = [100, 30];
  const property = fc.property(
    fc.array(fc.tuple(fc.integer({ min: 1, max: frameMax }), fc.nat({ max: 3 })), {
      maxLength: 200,
    }),
    (steps) => {
      const ring = new FrameRing(windowBytes + 2 * frameMax, 1000);
      const held: number[] = [];
      const heldBytes = () => held.reduce((sum, each) => sum + each, 0);
      for (const [length, shifts] of steps) {
        for (let i = 0; i < shifts && held.length > 0; i++) {
          ring.shift();
          held.shift();
        }
        if (heldBytes() + length > windowBytes) continue;
        t.not(ring.push(length), undefined);
        held.push(length);
      }
    },
  );
  t.notThrows(() => fc.assert(property, { numRuns: 500 }));
});

test('a full ring says so and takes nothing', (t) => {
  const ring = new FrameRing(10, 2);
  t.is(ring.push(11), undefined);
  t.truthy(ring.push(4));
  t.truthy(ring.push(4));
  t.is(ring.push(1), undefined, 'two frames are all it books');
  t.throws(() => ring.at(2), { instanceOf: RangeError });
  ring.shift();
  ring.shift();
  t.throws(() => ring.shift(), { instanceOf: RangeError });
});
