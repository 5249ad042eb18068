import test from 'ava';
import { Handshake, type HandshakeNext } from '../../../shared/nbd/handshake.ts';
import { magic, option, optionBytesMax, optionReply } from '../../../shared/nbd/numbers.ts';

/** What NBD clients rely on before the first request. The bytes are written by hand here. */

const exports = new Map([
  ['disk0', { sizeBytes: 2 ** 33 + 512, writable: true }],
  ['disk1', { sizeBytes: 4096, writable: false }],
]);

const u16 = (value: number): Buffer => Buffer.from([value >> 8, value & 255]);
const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
const flags = (value = 3): Buffer => u32(value);
const ask = (code: number, data: Buffer = Buffer.alloc(0)): Buffer =>
  Buffer.concat([Buffer.from('IHAVEOPT'), u32(code), u32(data.length), data]);
const named = (name: string, ...more: Buffer[]): Buffer =>
  Buffer.concat([u32(name.length), Buffer.from(name), ...more]);

interface Reply {
  readonly option: number;
  readonly type: number;
  readonly body: Buffer;
}

function repliesIn(buffers: readonly Buffer[]): Reply[] {
  const bytes = Buffer.concat(buffers);
  const found: Reply[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (bytes.readBigUInt64BE(at) !== magic.optionReply) throw new Error('not a reply');
    const length = bytes.readUInt32BE(at + 16);
    found.push({
      option: bytes.readUInt32BE(at + 8),
      type: bytes.readUInt32BE(at + 12),
      body: bytes.subarray(at + 20, at + 20 + length),
    });
    at += 20 + length;
  }
  return found;
}

function talk(...said: Buffer[]): { replies: Reply[]; next: HandshakeNext } {
  const { replies, next } = new Handshake(exports).push(Buffer.concat([flags(), ...said]));
  return { replies: repliesIn(replies), next };
}

test('GO tells size, flags and block sizes, and hands over what follows', (t) => {
  const request = Buffer.from('first request');
  const { replies, next } = talk(ask(option.go, named('disk0', u16(1), u16(3))), request);
  t.deepEqual(next, {
    kind: 'serve',
    name: 'disk0',
    structured: false,
    allocation: false,
    rest: request,
  });
  t.deepEqual(
    replies.map(({ type }) => type),
    [optionReply.info, optionReply.info, optionReply.info, optionReply.ack],
  );
  const [size, , blocks] = replies.map(({ body }) => body);
  t.is(size!.readBigUInt64BE(2), 2n ** 33n + 512n);
  // HAS_FLAGS, FLUSH, FUA, TRIM, WRITE_ZEROES, MULTI_CONN
  t.is(size!.readUInt16BE(10), 1 | 4 | 8 | 32 | 64 | 256);
  t.deepEqual([...blocks!], [...u16(3), ...u32(1), ...u32(4096), ...u32(2 ** 25)]);
});

test('a disk that may not be written says so', (t) => {
  const { replies } = talk(ask(option.info, named('disk1', u16(0))));
  t.is(replies[0]!.body.readUInt16BE(10), 1 | 2 | 4 | 256);
});

test('the same handshake works wherever it is cut into pieces', (t) => {
  const context = named('disk0', u32(1), named('base:allocation'));
  const said = Buffer.concat([
    ...[flags(), ask(option.list), ask(option.structuredReply)],
    ...[ask(option.setMetaContext, context), ask(option.go, named('disk0', u16(0)))],
  ]);
  const whole = new Handshake(exports).push(said);
  for (let cut = 1; cut < said.length; cut++) {
    const handshake = new Handshake(exports);
    const first = handshake.push(said.subarray(0, cut));
    t.is(first.next.kind, 'more', `cut at ${cut}`);
    const second = handshake.push(said.subarray(cut));
    t.deepEqual(second.next, whole.next);
    t.deepEqual(Buffer.concat([...first.replies, ...second.replies]), Buffer.concat(whole.replies));
  }
  t.like(whole.next, { kind: 'serve', structured: true, allocation: true });
});

test('EXPORT_NAME is answered with and without its zeroes, and a wrong name by hanging up', (t) => {
  for (const [asked, bytes] of [
    [1, 134],
    [3, 10],
  ] as const) {
    const said = Buffer.concat([flags(asked), ask(option.exportName, Buffer.from('disk1'))]);
    const { replies, next } = new Handshake(exports).push(said);
    t.is(Buffer.concat(replies).length, bytes);
    t.like(next, { kind: 'serve', name: 'disk1' });
  }
  t.is(talk(ask(option.exportName, Buffer.from('disk9'))).next.kind, 'hang-up');
});

test('what is wrong with an option is said, and the next one is answered', (t) => {
  const cases: [Buffer, number][] = [
    [ask(77), optionReply.errUnsupported],
    [ask(option.go, named('disk9', u16(0))), optionReply.errUnknown],
    [ask(option.go, u32(2 ** 31)), optionReply.errInvalid],
    [ask(option.go, named('disk0', u16(4))), optionReply.errInvalid],
    [ask(option.list, Buffer.from('x')), optionReply.errInvalid],
    [ask(option.structuredReply, Buffer.from('x')), optionReply.errInvalid],
    [ask(option.setMetaContext, named('disk0', u32(0))), optionReply.errInvalid],
    [ask(option.setMetaContext, named('disk0', u32(2 ** 32 - 1))), optionReply.errInvalid],
  ];
  for (const [said, expected] of cases) {
    const { replies, next } = talk(said, ask(option.list));
    t.is(replies[0]!.type, expected);
    t.is(next.kind, 'more');
    t.deepEqual(replies.at(-1)!.type, optionReply.ack);
  }
});

test('what is not NBD is hung up on, and no length makes room for itself', (t) => {
  t.is(new Handshake(exports).push(flags(0)).next.kind, 'hang-up');
  t.is(new Handshake(exports).push(flags(4 | 1)).next.kind, 'hang-up');
  t.is(talk(Buffer.from('GET / HTTP/1.1\r\n\r\n')).next.kind, 'hang-up');
  const huge = Buffer.concat([Buffer.from('IHAVEOPT'), u32(option.go), u32(optionBytesMax + 1)]);
  t.is(talk(huge).next.kind, 'hang-up');
  const { replies, next } = talk(ask(option.abort));
  t.is(next.kind, 'hang-up');
  t.is(replies[0]!.type, optionReply.ack);
});
