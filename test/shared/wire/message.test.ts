import test from 'ava';
import fc from 'fast-check';
import { bounds } from '../../../shared/bounds.ts';
import { UnderstudyError } from '../../../shared/errors.ts';
import { epoch, term } from '../../../shared/ids.ts';
import { decodeFrame, encodeFrame } from '../../../shared/wire/frame.ts';
import { type FrameKind, frameKindCodes } from '../../../shared/wire/frame-kind.ts';
import { decodeMessage, encodeBody, type Message } from '../../../shared/wire/message.ts';
import { anyMessage } from './arbitrary-message.ts';

const kinds = Object.keys(frameKindCodes) as FrameKind[];

function throughFrame(message: Message): Message {
  const about = 'epoch' in message ? message.epoch : epoch(0);
  const from = { guest: 1n, session: 2n, term: term(1), sequence: 5 };
  const frame = encodeFrame({ ...from, kind: message.kind, epoch: about }, encodeBody(message));
  return decodeMessage(decodeFrame(frame));
}

const bodyOf = (message: Message): Buffer => Buffer.concat(encodeBody(message));

/** What decoding gives: the message, or the code of an expected failure. */
function outcome(kind: FrameKind, body: Uint8Array): Message | string {
  try {
    return decodeMessage({ kind, epoch: epoch(1), body });
  } catch (error) {
    if (error instanceof UnderstudyError) return error.code;
    throw error;
  }
}

test('each message comes back as it was', (t) => {
  const seen = new Set<string>();
  const property = fc.property(anyMessage(), (message) => {
    seen.add(message.kind);
    t.deepEqual(throughFrame(message), message);
  });
  t.notThrows(() => fc.assert(property, { numRuns: 1500 }));
  t.deepEqual([...seen].sort(), [...kinds].sort(), 'each kind was tried');
});

test('a body of fixed shape that is cut or has a byte too many is refused', (t) => {
  const cutAnywhere = fc.property(
    anyMessage().filter(
      ({ kind }) =>
        !['chunk', 'baseline', 'device', 'disk', 'verify-request', 'ack'].includes(kind),
    ),
    (message) => {
      const body = bodyOf(message);
      for (let length = 0; length < body.byteLength; length++) {
        const found = outcome(message.kind, body.subarray(0, length));
        t.is(found, 'E_FRAME_CORRUPT', `${message.kind} cut to ${length} of ${body.byteLength}`);
      }
      t.is(outcome(message.kind, Buffer.concat([body, Buffer.from('!')])), 'E_FRAME_CORRUPT');
    },
  );
  t.notThrows(() => fc.assert(cutAnywhere, { numRuns: 100 }));
});

test('any bytes as the body of any kind decode or are refused with a code', (t) => {
  const property = fc.property(
    fc.constantFrom(...kinds),
    fc.oneof(
      fc.uint8Array({ maxLength: 100 }),
      fc.json().map((text) => Buffer.from(text)),
    ),
    (kind, body) => {
      const found = outcome(kind, body);
      if (typeof found === 'string') t.is(found, 'E_FRAME_CORRUPT');
      else t.is(found.kind, kind);
    },
  );
  t.notThrows(() => fc.assert(property, { numRuns: 2000 }));
});

const hello = {
  protocol: 1,
  protocolMax: 2,
  agent: '0123456789abcdef',
  guestName: 'g',
  instance: '0123456789abcdef',
  secret: 'a'.repeat(384),
  hash: 'xxh3',
  blockBytes: 64,
  generalCodec: 'lz4',
  windowBytes: 16 * 1024 * 1024,
  description: {
    memoryBytes: 4096,
    vcpus: 1,
    machine: 'pc-q35-7.2',
    accelerator: 'tcg',
    qemuVersion: '7.2.22',
    devicesDigest: 'd',
  },
};

test('a wrong field of a control message is named, with what was expected and found', (t) => {
  const wrong: [object, RegExp][] = [
    [{ ...hello, blockBytes: 7 }, /hello\.blockBytes: expected one of 64, 128, 256, found 7/],
    [{ ...hello, secret: 'xyz' }, /hello\.secret: expected 384 lower-case hex digits, found "xyz"/],
    [{ ...hello, hash: 'md5' }, /hello\.hash: expected one of xxh3, xxh64, found "md5"/],
    [{ ...hello, description: null }, /hello\.description: expected an object, found null/],
    [
      { ...hello, description: { ...hello.description, memoryBytes: '1G' } },
      /hello\.description\.memoryBytes: expected a whole number from 4096 .*, found "1G"/,
    ],
    [{ ...hello, guestName: 'x'.repeat(64) }, /hello\.guestName: expected a text of at most 63/],
    [{ ...hello, agent: undefined }, /hello\.agent: expected 16 .*, found nothing/],
    [[], /hello: expected an object, found \[\]/],
  ];
  for (const [value, pattern] of wrong) {
    const body = Buffer.from(JSON.stringify(value));
    const error = t.throws(() => decodeMessage({ kind: 'hello', epoch: epoch(0), body }));
    t.regex(error.message, pattern);
  }
  const body = Buffer.from(JSON.stringify({ ...hello, fromALaterRelease: true }));
  t.is(decodeMessage({ kind: 'hello', epoch: epoch(0), body }).kind, 'hello');
});

test('names from the prototype are not fields', (t) => {
  const value = { ...hello, agent: undefined };
  const body = Buffer.from(
    JSON.stringify(value).replace('{', '{"__proto__":{"agent":"0123456789abcdef"},'),
  );
  t.throws(() => decodeMessage({ kind: 'hello', epoch: epoch(0), body }), { message: /agent/ });
});

test('JSON over its bound and broken UTF-8 are refused', (t) => {
  const long = Buffer.from(JSON.stringify({ code: 'x', reason: 'y'.repeat(bounds.jsonBytesMax) }));
  t.is(outcome('abort', long), 'E_FRAME_CORRUPT');
  t.is(outcome('abort', Buffer.from([0x22, 0xff, 0x22])), 'E_FRAME_CORRUPT');
});

test('more digests than the bound are refused before they are copied', (t) => {
  const body = Buffer.alloc(8);
  body.writeUInt32LE(bounds.digestsMax + 1, 4);
  const error = t.throws(() => decodeMessage({ kind: 'region-digests', epoch: epoch(1), body }));
  t.regex(error.message, /over the bound/);
  const tooMany = new BigUint64Array(bounds.digestsMax + 1);
  t.throws(() => encodeBody({ kind: 'page-digests', epoch: epoch(1), first: 0, digests: tooMany }));
});

test('the largest list of digests fits one frame', (t) => {
  const digests = new BigUint64Array(bounds.digestsMax).fill(2n ** 64n - 1n);
  const message = { kind: 'verify', epoch: epoch(1), root: 1n, first: 0, digests } as const;
  t.deepEqual(throughFrame(message), message);
});

test('digests are read from bytes at any alignment, also from a Buffer', (t) => {
  const digests = BigUint64Array.from([1n, 2n, 3n]);
  const message = { kind: 'page-digests', epoch: epoch(1), first: 4, digests } as const;
  const body = bodyOf(message);
  for (let shift = 0; shift < 8; shift++) {
    const room = Buffer.alloc(body.byteLength + shift);
    body.copy(room, shift);
    const read = outcome('page-digests', room.subarray(shift));
    t.deepEqual(read, message);
  }
});
