import test from 'ava';
import { command, payloadBytesMax } from '../../../shared/nbd/numbers.ts';
import { type NbdRequest, RequestReader } from '../../../shared/nbd/request-reader.ts';

interface Said {
  readonly command: number;
  readonly offset: bigint;
  readonly length: number;
  readonly cookie: bigint;
}

function encode(
  { command: what, offset, length, cookie }: Said,
  payload = Buffer.alloc(0),
): Buffer {
  const bytes = Buffer.alloc(28);
  bytes.writeUInt32BE(0x25609513, 0);
  bytes.writeUInt16BE(1, 4);
  bytes.writeUInt16BE(what, 6);
  bytes.writeBigUInt64BE(cookie, 8);
  bytes.writeBigUInt64BE(offset, 16);
  bytes.writeUInt32BE(length, 24);
  return Buffer.concat([bytes, payload]);
}

/** A copy that does not depend on the reader's memory. */
const kept = (request: NbdRequest) => ({
  ...request,
  payload: request.payload === undefined ? undefined : [...request.payload],
});

const payload = Buffer.from('the data of a write, long enough to be cut');
const stream = Buffer.concat([
  encode({ command: command.read, offset: 2n ** 40n, length: 4096, cookie: 1n }),
  encode({ command: command.write, offset: 512n, length: payload.length, cookie: 2n }, payload),
  encode({ command: command.flush, offset: 0n, length: 0, cookie: 0xfedcba9876543210n }),
  encode({ command: command.write, offset: 0n, length: 0, cookie: 4n }),
]);

test('requests come out the same wherever the stream is cut in two', (t) => {
  const whole = new RequestReader().push(stream)!.map(kept);
  t.is(whole.length, 4);
  t.like(whole[0], { command: command.read, offset: 2 ** 40, length: 4096, flags: 1 });
  t.deepEqual(whole[1]!.payload, [...payload]);
  t.deepEqual([whole[2]!.cookieHigh, whole[2]!.cookieLow], [0xfedcba98, 0x76543210]);
  for (let cut = 0; cut <= stream.length; cut++) {
    const reader = new RequestReader();
    const first = reader.push(Buffer.from(stream.subarray(0, cut)))!.map(kept);
    const second = reader.push(Buffer.from(stream.subarray(cut)))!.map(kept);
    t.deepEqual([...first, ...second], whole, `cut at ${cut}`);
  }
});

test('a stream of single bytes is understood', (t) => {
  const reader = new RequestReader();
  const found = [...stream].flatMap((byte) => reader.push(Buffer.from([byte]))!.map(kept));
  t.deepEqual(found, new RequestReader().push(stream)!.map(kept));
});

test('a write that is too large is passed over without being kept', (t) => {
  const reader = new RequestReader();
  const length = payloadBytesMax + 1;
  t.deepEqual(reader.push(encode({ command: command.write, offset: 0n, length, cookie: 9n })), []);
  const piece = Buffer.alloc(2 ** 20);
  for (let i = 0; i < 32; i++) t.deepEqual(reader.push(piece), []);
  const [refused, next] = reader.push(Buffer.concat([Buffer.alloc(1), stream]))!;
  t.like(refused, { length, payload: undefined });
  t.is(next!.command, command.read);
});

test('what is no request ends the understanding, and an offset over 2^53 lies nowhere', (t) => {
  t.is(new RequestReader().push(Buffer.alloc(28)), undefined);
  const far = encode({ command: command.read, offset: 2n ** 63n, length: 1, cookie: 0n });
  t.is(new RequestReader().push(far)![0]!.offset, Number.POSITIVE_INFINITY);
});
