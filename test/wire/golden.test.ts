import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { basisOf } from '../../shared/change-basis.ts';
import { epoch, type GuestName, sessionId, term } from '../../shared/ids.ts';
import {
  decodeFrame,
  encodeFrame,
  frameVersion,
  guestHash,
  sessionBits,
} from '../../shared/wire/frame.ts';
import { type FrameKind, frameKindCodes } from '../../shared/wire/frame-kind.ts';
import { decodeMessage, encodeBody, type Message } from '../../shared/wire/message.ts';

/**
 * One frame of each kind, as version 1 has them for ever: `golden/v1-<kind>.hex`, 32 bytes a
 * line. A file is written only where it is missing and UNDERSTUDY_GOLDEN=write is set.
 */
const folder = fileURLToPath(new URL('../../../test/wire/golden/', import.meta.url));

const digests = BigUint64Array.from([1n, 0xfedcba9876543210n, 2n ** 64n - 1n]);
const payload = Uint8Array.from({ length: 70 }, (_, i) => (i * i) & 0xff);

const messages: { [Kind in FrameKind]: Message & { kind: Kind } } = {
  begin: { kind: 'begin', epochKind: 'delta', base: epoch(41) },
  chunk: { kind: 'chunk', payload },
  baseline: { kind: 'baseline', index: 1, count: 3, totalBytes: 2_100_000, payload },
  device: { kind: 'device', index: 0, count: 1, totalBytes: 70, payload },
  commit: {
    kind: 'commit',
    epochDigest: 0x0123456789abcdefn,
    ramDigest: 0xfedcba9876543210n,
    chunkCount: 12,
    pageCount: 3456,
    bytes: 2 ** 33 + 5,
  },
  abort: { kind: 'abort', code: 'E_QMP_TIMEOUT', reason: 'QEMU does not answer – given up' },
  disk: { kind: 'disk', payload },
  'disk-seal': {
    kind: 'disk-seal',
    bytes: 2 ** 33 + 7,
    digest: 0x1020304050607080n,
    frameCount: 9,
  },
  credit: { kind: 'credit', report: 9, consumed: 100, expected: 104, repair: true },
  probe: { kind: 'probe', next: 2 ** 32 + 1 },
  hello: {
    kind: 'hello',
    protocol: 1,
    protocolMax: 1,
    agent: '0011223344556677',
    guestName: 'redis-1',
    instance: '7766554433221100',
    secret: '5a'.repeat(192),
    hash: 'xxh3',
    blockBytes: 64,
    generalCodec: 'lz4',
    windowBytes: 16 * 1024 * 1024,
    description: {
      memoryBytes: 2 ** 29,
      vcpus: 2,
      machine: 'pc-q35-7.2',
      accelerator: 'tcg',
      qemuVersion: '7.2.22',
      devicesDigest: '00ff00ff00ff00ff',
    },
    diskBytes: [],
    base: null,
  },
  welcome: {
    kind: 'welcome',
    protocol: 1,
    agent: '8899aabbccddeeff',
    holds: { session: sessionId('0f0f0f0f0f0f0f0f'), epoch: epoch(40), term: term(2) },
    regionPages: 256,
    hasBase: false,
  },
  refuse: { kind: 'refuse', code: 'E_GUEST_MEMORY', message: 'not my size', hint: 'give 512 MiB' },
  ack: { kind: 'ack', epoch: epoch(42) },
  resync: { kind: 'resync', epoch: epoch(42), code: 'E_EPOCH_DIGEST', reason: 'digests differ' },
  'stand-down': { kind: 'stand-down', agent: '0011223344556677', reason: 'stopped' },
  'region-digests-request': {
    kind: 'region-digests-request',
    epoch: epoch(42),
    first: 0,
    count: 512,
  },
  'region-digests': { kind: 'region-digests', epoch: epoch(42), first: 7, digests },
  'page-digests-request': {
    kind: 'page-digests-request',
    epoch: epoch(42),
    first: 256,
    count: 256,
  },
  'page-digests': { kind: 'page-digests', epoch: epoch(42), first: 256, digests },
  'switchover-request': { kind: 'switchover-request' },
  'switchover-ready': { kind: 'switchover-ready' },
  'hand-over': { kind: 'hand-over', epoch: epoch(42) },
  'handed-over': { kind: 'handed-over', epoch: epoch(42) },
  'verify-request': { kind: 'verify-request', epoch: epoch(42) },
  verify: { kind: 'verify', epoch: epoch(42), root: 0x1122334455667788n, first: 0, digests },
  'input-log': {
    kind: 'input-log',
    epoch: epoch(42),
    first: 2 ** 33,
    replayFrom: 2 ** 33 - 3,
    frames: [
      { card: 0, frame: payload },
      { card: 1, frame: payload.slice(0, 14) },
    ],
  },
  'input-logged': { kind: 'input-logged', sequence: 2 ** 33 + 1 },
  'disk-digests-request': {
    kind: 'disk-digests-request',
    disk: 1,
    of: 'regions',
    first: 64,
    count: 64,
  },
  'disk-digests': { kind: 'disk-digests', disk: 1, first: 64, digests },
  'disk-changes-request': { kind: 'disk-changes-request', disk: 1, isOfNow: false },
  'disk-changes': {
    kind: 'disk-changes',
    disk: 1,
    known: {
      basis: basisOf('0123456789abcdef', 2 ** 33 + 9, true),
      regions: Uint32Array.of(0, 7, 2 ** 20),
    },
  },
  heartbeat: {
    kind: 'heartbeat',
    agent: 0x0011223344556677n,
    beat: 77,
    captured: epoch(42),
    acked: epoch(41),
    activity: 'protecting',
    sentAtMs: 123456.789,
  },
};

/** Kinds whose body differs with the protocol that is spoken above frames. */
const later: Readonly<Record<string, Message>> = {
  'hello-protocol-2': { ...messages.hello, protocolMax: 2 },
  'disk-changes-request-now': { kind: 'disk-changes-request', disk: 1, isOfNow: true },
  'hello-disks': { ...messages.hello, protocolMax: 2, diskBytes: [2 ** 35, 2 ** 41 + 512] },
};

const golden = [
  ...(Object.keys(frameKindCodes) as FrameKind[]).map((kind) => [kind, messages[kind]] as const),
  ...Object.entries(later),
];

for (const [name, message] of golden) {
  const { kind } = message;
  test(`a ${name} frame of version ${frameVersion} is written and read as it always was`, (t) => {
    const header = {
      kind,
      guest: guestHash('redis-1' as GuestName),
      session: sessionBits(sessionId('0123456789abcdef')),
      term: term(3),
      epoch: epoch(42),
      sequence: frameKindCodes[kind] < 16 ? 2 ** 34 + 1 : 0,
    };
    const frame = Buffer.from(encodeFrame(header, encodeBody(message)));
    const file = `${folder}v1-${name}.hex`;
    if (!existsSync(file) && process.env.UNDERSTUDY_GOLDEN === 'write') {
      writeFileSync(file, `${frame.toString('hex').replace(/.{64}(?=.)/g, '$&\n')}\n`);
    }
    const text = readFileSync(file, 'utf8').replace(/\s/g, '');
    const bytes = Uint8Array.from(Buffer.from(text, 'hex'));
    t.is(frame.toString('hex'), text);

    const { body, ...rest } = decodeFrame(bytes);
    t.deepEqual(rest, header);
    t.deepEqual(decodeMessage({ kind, epoch: rest.epoch, body }), message);
  });
}

test('each golden file belongs to a kind', (t) => {
  const expected = golden.map(([name]) => `v1-${name}.hex`);
  t.deepEqual(readdirSync(folder).sort(), expected.sort());
});
