import test from 'ava';
import fc from 'fast-check';
import { isUnderstudyError } from '../../../shared/errors.ts';
import { FrameSplitter, joinFrame } from '../../../shared/net/ethernet-stream.ts';
import { networkBounds } from '../../../shared/net/network-bounds.ts';

const { frameBytesMin, frameBytesMax } = networkBounds;

/** Copies, as a receiver that keeps frames has to. */
function split(pieces: readonly Uint8Array[]): { frames: Uint8Array[]; isMidFrame: boolean } {
  const frames: Uint8Array[] = [];
  const splitter = new FrameSplitter((frame) => frames.push(Uint8Array.from(frame)));
  for (const piece of pieces) splitter.push(piece);
  return { frames, isMidFrame: splitter.isMidFrame };
}

const someFrame = (length: number, seed: number): Uint8Array =>
  Uint8Array.from({ length }, (_, index) => (index * 7 + seed) & 0xff);

const rawLength = (length: number): Uint8Array => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(length);
  return bytes;
};

test('frames arrive whole, wherever the socket cuts the stream in two', (t) => {
  const frames = [someFrame(14, 1), someFrame(60, 2), someFrame(1514, 3), someFrame(15, 4)];
  const stream = Buffer.concat(frames.map(joinFrame));
  for (let at = 0; at <= stream.length; at++) {
    const got = split([stream.subarray(0, at), stream.subarray(at)]);
    t.deepEqual(got.frames, frames, `cut at ${at}`);
    t.false(got.isMidFrame);
  }
});

test('frames arrive whole, one byte at a time', (t) => {
  const frames = [someFrame(14, 1), someFrame(300, 2), someFrame(14, 3)];
  const bytes = [...Buffer.concat(frames.map(joinFrame))].map((byte) => Uint8Array.of(byte));
  t.deepEqual(split(bytes).frames, frames);
});

test('a stream that ends anywhere gives the whole frames and nothing of the last one', (t) => {
  const frames = [someFrame(20, 1), someFrame(33, 2)];
  const stream = Buffer.concat(frames.map(joinFrame));
  const ends = [0, 24, 24 + 37];
  for (let length = 0; length <= stream.length; length++) {
    const got = split([stream.subarray(0, length)]);
    t.is(got.frames.length, ends.filter((end) => end > 0 && end <= length).length, `${length}`);
    t.is(got.isMidFrame, !ends.includes(length), `${length}`);
  }
});

test('any frames in any pieces come out as they went in', (t) => {
  const lengths = fc.array(fc.integer({ min: 14, max: 3000 }), { maxLength: 12 });
  const cuts = fc.array(fc.nat(), { maxLength: 20 });
  fc.assert(
    fc.property(lengths, cuts, (sizes, places) => {
      const frames = sizes.map(someFrame);
      const stream = Buffer.concat(frames.map(joinFrame));
      const at = [0, ...places.map((place) => place % (stream.length + 1)), stream.length];
      at.sort((a, b) => a - b);
      const pieces = at.slice(1).map((end, index) => stream.subarray(at[index], end));
      t.deepEqual(split(pieces).frames, frames);
    }),
    { numRuns: 200 },
  );
});

test('a guest may send a frame of no bytes, or the longest one', (t) => {
  const longest = someFrame(frameBytesMax, 5);
  const got = split([rawLength(0), joinFrame(longest), rawLength(3), Uint8Array.of(1, 2, 3)]);
  t.deepEqual(
    got.frames.map((frame) => frame.length),
    [0, frameBytesMax, 3],
  );
  t.deepEqual(got.frames[1], longest);
});

test('an impossible length is refused before anything is allocated, at every split of it', (t) => {
  for (const length of [frameBytesMax + 1, 2 ** 31, 2 ** 32 - 1]) {
    const bytes = Buffer.concat([joinFrame(someFrame(14, 0)), rawLength(length)]);
    for (let at = 0; at <= bytes.length; at++) {
      const error = t.throws(() => split([bytes.subarray(0, at), bytes.subarray(at)]));
      t.true(isUnderstudyError(error, 'E_CABLE_CORRUPT'), `${length} cut at ${at}`);
    }
  }
});

test('a frame that QEMU would refuse is never written', (t) => {
  t.throws(() => joinFrame(new Uint8Array(frameBytesMin - 1)), { instanceOf: RangeError });
  t.throws(() => joinFrame(new Uint8Array(frameBytesMax + 1)), { instanceOf: RangeError });
  t.is(joinFrame(new Uint8Array(frameBytesMax)).length, frameBytesMax + 4);
});
