import test from 'ava';
import fc from 'fast-check';
import { bodyBytesMax } from '../../../shared/bounds.ts';
import { digest64 } from '../../../shared/codec/digest.ts';
import { UnderstudyError } from '../../../shared/errors.ts';
import { epoch, type GuestName, sessionId, term } from '../../../shared/ids.ts';
import {
  checkOrigin,
  decodeFrame,
  encodeFrame,
  type FrameHeader,
  frameHeaderBytes,
  guestHash,
  hex64,
  sessionBits,
  writeFrame,
} from '../../../shared/wire/frame.ts';
import { type FrameKind, frameKindCodes } from '../../../shared/wire/frame-kind.ts';

const header: FrameHeader = {
  kind: 'chunk',
  guest: guestHash('redis-1' as GuestName),
  session: sessionBits(sessionId('00ff00ff12345678')),
  term: term(3),
  epoch: epoch(2 ** 40 + 7),
  sequence: 2 ** 33 + 1,
};
const body = Uint8Array.from({ length: 100 }, (_, i) => (i * 37) & 0xff);

function codeOf(decode: () => unknown): string {
  try {
    decode();
  } catch (error) {
    if (error instanceof UnderstudyError) return error.code;
    throw error;
  }
  return 'none';
}

/** Overwrites header bytes and makes the header's checksum right again. */
function forge(frame: Uint8Array, at: number, bytes: readonly number[]): Uint8Array {
  const forged = frame.slice();
  forged.set(bytes, at);
  new DataView(forged.buffer).setBigUint64(64, digest64(forged.subarray(0, 64)), true);
  return forged;
}

test('a frame comes back as it was, from any kind, numbers and parts', (t) => {
  const number = fc.maxSafeNat();
  const bits = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
  const property = fc.property(
    fc.constantFrom(...(Object.keys(frameKindCodes) as FrameKind[])),
    fc.record({ guest: bits, session: bits, term: number, epoch: number, sequence: number }),
    fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 5 }),
    (kind, numbers, parts) => {
      const given = { kind, ...numbers } as unknown as FrameHeader;
      const { body: found, ...rest } = decodeFrame(encodeFrame(given, parts));
      t.deepEqual(rest as FrameHeader, given);
      t.deepEqual(Buffer.from(found), Buffer.concat(parts));
    },
  );
  t.notThrows(() => fc.assert(property, { numRuns: 300 }));
});

test('a decoded body is a view, also at an odd place in memory', (t) => {
  const room = new Uint8Array(400);
  const size = writeFrame(room, 13, header, [body.subarray(0, 50), body.subarray(50)]);
  t.is(size, frameHeaderBytes + 100);
  const frame = decodeFrame(room.subarray(13, 13 + size));
  t.is(frame.body.buffer, room.buffer);
  t.deepEqual(frame.body, body);
});

test('a frame that is cut anywhere is refused', (t) => {
  const whole = encodeFrame(header, [body]);
  for (let length = 0; length < whole.byteLength; length++) {
    t.is(
      codeOf(() => decodeFrame(whole.subarray(0, length))),
      'E_FRAME_CORRUPT',
      `${length}`,
    );
  }
});

test('a byte too many is refused', (t) => {
  const whole = encodeFrame(header, [body]);
  const longer = new Uint8Array(whole.byteLength + 1);
  longer.set(whole);
  t.is(
    codeOf(() => decodeFrame(longer)),
    'E_FRAME_CORRUPT',
  );
});

test('each flipped bit of a frame is noticed', (t) => {
  const whole = encodeFrame(header, [body]);
  for (let bit = 0; bit < whole.byteLength * 8; bit++) {
    const flipped = whole.slice();
    flipped[bit >>> 3]! ^= 1 << (bit & 7);
    const expected = bit >>> 3 === 4 ? 'E_FRAME_VERSION' : 'E_FRAME_CORRUPT';
    t.is(
      codeOf(() => decodeFrame(flipped)),
      expected,
      `bit ${bit}`,
    );
  }
});

test('another version and an unknown kind are refused by name', (t) => {
  const whole = encodeFrame(header, [body]);
  const version = t.throws(() => decodeFrame(forge(whole, 4, [2])));
  t.regex(version.message, /frame of version 2 came, and this side speaks frame version 1/);
  const kind = t.throws(() => decodeFrame(forge(whole, 5, [15])));
  t.regex(kind.message, /frame of kind 15/);
  t.is(
    codeOf(() => decodeFrame(forge(whole, 5, [15]))),
    'E_FRAME_VERSION',
  );
});

test('a length over the bound is refused before anything else is made of it', (t) => {
  const whole = encodeFrame(header, [body]);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(bodyBytesMax + 1);
  t.is(
    codeOf(() => decodeFrame(forge(whole, 48, [...length]))),
    'E_FRAME_TOO_LARGE',
  );
  t.is(
    codeOf(() => encodeFrame(header, [new Uint8Array(bodyBytesMax + 1)])),
    'E_FRAME_TOO_LARGE',
  );
});

test('a length below the bound that is not the real one is refused', (t) => {
  const whole = encodeFrame(header, [body]);
  t.is(
    codeOf(() => decodeFrame(forge(whole, 48, [99, 0, 0, 0]))),
    'E_FRAME_CORRUPT',
  );
});

test('numbers that do not fit and reserved bytes that are used are refused', (t) => {
  const whole = encodeFrame(header, [body]);
  t.is(
    codeOf(() => decodeFrame(forge(whole, 24 + 7, [1]))),
    'E_FRAME_CORRUPT',
  );
  t.is(
    codeOf(() => decodeFrame(forge(whole, 6, [1]))),
    'E_FRAME_CORRUPT',
  );
  t.is(
    codeOf(() => decodeFrame(forge(whole, 52, [1]))),
    'E_FRAME_CORRUPT',
  );
});

test('a frame of another guest or session is told apart', (t) => {
  const other = guestHash('redis-2' as GuestName);
  t.is(
    codeOf(() => checkOrigin(header, other, header.session)),
    'E_FRAME_FOREIGN',
  );
  t.is(
    codeOf(() => checkOrigin(header, header.guest, 1n)),
    'E_FRAME_FOREIGN',
  );
  t.is(
    codeOf(() => checkOrigin(header, header.guest, header.session)),
    'none',
  );
  t.is(
    codeOf(() => checkOrigin(header, header.guest)),
    'none',
  );
});

test('any bytes decode or are refused with a code, never otherwise', (t) => {
  const whole = encodeFrame(header, [body]);
  const property = fc.property(
    fc.uint8Array({ maxLength: 200 }),
    fc.nat({ max: whole.byteLength - 1 }),
    (noise, at) => {
      codeOf(() => decodeFrame(noise));
      const mixed = whole.slice();
      mixed.set(noise.subarray(0, mixed.byteLength - at), at);
      codeOf(() => decodeFrame(mixed));
    },
  );
  t.notThrows(() => fc.assert(property, { numRuns: 500 }));
});

test('session numbers keep their leading zeros as text', (t) => {
  t.is(hex64(sessionBits(sessionId('00ff00ff12345678'))), '00ff00ff12345678');
});
