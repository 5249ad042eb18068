import test from 'ava';
import { RewoundConnections } from '../../../shared/net/rewound-connections.ts';

const [fin, syn, rst, push, ack] = [0x01, 0x02, 0x04, 0x08, 0x10];
const [guest, client] = [Buffer.from([10, 0, 0, 2]), Buffer.from([10, 0, 0, 1])];

interface Fields {
  readonly flags?: number;
  readonly seq?: number;
  readonly ack?: number;
  readonly data?: string;
  readonly port?: number;
}

/** A frame of TCP over IPv4 with a right checksum, from the client unless `fromGuest`. */
function frameOf(
  { flags = ack, seq = 0, ack: number = 0, data = '', port = 5000 }: Fields,
  fromGuest = false,
) {
  const frame = Buffer.alloc(14 + 20 + 20 + data.length);
  frame.writeUInt16BE(0x0800, 12);
  frame.set([0x45, 0], 14);
  frame.writeUInt16BE(frame.length - 14, 16);
  frame[23] = 6;
  frame.set(fromGuest ? guest : client, 26);
  frame.set(fromGuest ? client : guest, 30);
  frame.writeUInt16BE(fromGuest ? 6379 : port, 34);
  frame.writeUInt16BE(fromGuest ? port : 6379, 36);
  frame.writeUInt32BE(seq >>> 0, 38);
  frame.writeUInt32BE(number >>> 0, 42);
  frame.set([0x50, flags], 46);
  frame.write(data, 54);
  frame.writeUInt16BE(~sumOf(frame) & 0xffff, 50);
  return frame;
}

const said = (fields: Fields) => frameOf(fields, true);

/** Over pseudo header and segment, as a receiver does it: 0xffff where the checksum is right. */
function sumOf(frame: Buffer): number {
  const segment = frame.subarray(34);
  const bytes = Buffer.concat([
    frame.subarray(26, 34),
    Buffer.from([0, 6, segment.length >> 8, segment.length & 255]),
    segment,
    Buffer.alloc(segment.length % 2),
  ]);
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}

const acknowledged = (frame: Uint8Array) => Buffer.from(frame).readUInt32BE(42);

test('a request is told again without acknowledging what the guest has yet to say', (t) => {
  const rewound = new RewoundConnections([]);
  const first = frameOf({ seq: 100, ack: 500, data: 'SET a', flags: ack | push });
  t.is(rewound.told(first), first);
  // The client had five bytes of answer when it asked again; the guest has not answered yet.
  const second = frameOf({ seq: 105, ack: 505, data: 'SET bb', flags: ack | push });
  const told = Buffer.from(rewound.told(second));
  t.is(acknowledged(told), 500);
  t.is(sumOf(told), 0xffff, 'the checksum is right');
  t.is(sumOf(second), 0xffff);
  const restored = Buffer.from(told);
  second.copy(restored, 42, 42, 46);
  second.copy(restored, 50, 50, 52);
  t.deepEqual(restored, second, 'nothing else is changed');
  rewound.said(said({ seq: 500, data: '+OK\r\n' }));
  t.is(rewound.told(second), second, 'once it has answered, all is as it was sent');
});

test('what it was told before its checkpoint tells how far it had come', (t) => {
  const before = [700, 0xffff_fff0, 600].map((ack, i) => frameOf({ ack, port: 5000 + (i % 2) }));
  const rewound = new RewoundConnections(before);
  for (const frame of before) t.is(rewound.told(frame), frame);
  t.is(acknowledged(rewound.told(frameOf({ ack: 800 }))), 700);
  t.is(acknowledged(rewound.told(frameOf({ ack: 5, port: 5001 }))), 0xffff_fff0);
});

test('what the guest has said counts up to its end, round the highest number, not backwards', (t) => {
  const rewound = new RewoundConnections([]);
  rewound.said(said({ seq: 0xfffffffe, data: 'four' }));
  rewound.said(said({ seq: 0xfffffff0, data: 'again' }));
  t.is(acknowledged(rewound.told(frameOf({ ack: 10 }))), 2);
  t.is(acknowledged(rewound.told(frameOf({ ack: 2 }))), 2);
  t.is(acknowledged(rewound.told(frameOf({ ack: 0xffffffff }))), 0xffffffff);
  rewound.said(said({ seq: 2, flags: ack | fin }));
  t.is(acknowledged(rewound.told(frameOf({ ack: 10 }))), 3);
});

test('connections are kept apart, and a new one over the same ports begins anew', (t) => {
  const rewound = new RewoundConnections([]);
  rewound.told(frameOf({ ack: 500 }));
  t.is(acknowledged(rewound.told(frameOf({ ack: 900, port: 5001 }))), 900);
  t.is(acknowledged(rewound.told(frameOf({ ack: 900 }))), 500);
  const opening = frameOf({ seq: 7, flags: syn });
  t.is(rewound.told(opening), opening);
  rewound.said(said({ seq: 20, flags: syn | ack }));
  t.is(acknowledged(rewound.told(frameOf({ ack: 21 }))), 21);
});

test('any sum of bytes leaves a right checksum', (t) => {
  for (let i = 0; i < 2000; i++) {
    const rewound = new RewoundConnections([]);
    const from = Math.imul(i, 0x9e3779b1) >>> 0;
    rewound.told(frameOf({ ack: from }));
    const later = frameOf({ seq: i, ack: from + 1 + i * 65_521, data: 'x'.repeat(i % 9) });
    const told = Buffer.from(rewound.told(later));
    t.is(acknowledged(told), from);
    t.is(sumOf(told), 0xffff);
  }
});

test('what is no whole TCP segment passes as it is', (t) => {
  const rewound = new RewoundConnections([]);
  rewound.told(frameOf({ ack: 500 }));
  const later = frameOf({ ack: 900, data: 'more' });
  const changed = (at: number, value: number) => {
    const frame = Buffer.from(later);
    frame[at] = value;
    return frame;
  };
  const strange = [
    ...[changed(12, 0x86), changed(14, 0x65), changed(21, 1), changed(20, 0x20), changed(23, 17)],
    ...[changed(16, 0xff), changed(14, 0x4f), later.subarray(0, 50), later.subarray(0, 10)],
    frameOf({ ack: 900, flags: ack | rst }),
  ];
  for (const frame of strange) t.is(rewound.told(frame), frame);
  for (let length = 0; length <= later.length; length++) rewound.said(later.subarray(0, length));
});
