import fc from 'fast-check';
import { bounds } from '../../../shared/bounds.ts';
import { basisOf } from '../../../shared/change-basis.ts';
import { epoch, sessionId, term } from '../../../shared/ids.ts';
import { agentActivities } from '../../../shared/wire/flow-body.ts';
import type { Message } from '../../../shared/wire/message.ts';

/** Any message that one side may send, for property tests. */
export function anyMessage(): fc.Arbitrary<Message> {
  return fc.oneof(
    fc.record({
      kind: fc.constant('begin' as const),
      epochKind: fc.constantFrom('sync' as const, 'delta' as const),
      base: anEpoch,
    }),
    fc.record({ kind: fc.constant('chunk' as const), payload }),
    part,
    fc.record({
      kind: fc.constant('commit' as const),
      epochDigest: u64,
      ramDigest: u64,
      chunkCount: u32,
      pageCount: u32,
      bytes: safe,
    }),
    fc.record({ kind: fc.constant('abort' as const), code: text, reason: text }),
    fc.record({ kind: fc.constant('disk' as const), payload }),
    fc.record({
      kind: fc.constant('disk-seal' as const),
      bytes: safe,
      digest: u64,
      frameCount: u32,
    }),
    fc.record({
      kind: fc.constant('disk-digests-request' as const),
      disk: u32,
      of: fc.constantFrom('regions' as const, 'pages' as const),
      first: u32,
      count: fc.integer({ min: 0, max: bounds.digestsMax }),
    }),
    fc.record({
      kind: fc.constant('disk-digests' as const),
      disk: u32,
      first: u32,
      digests: fc.array(u64, { maxLength: 40 }).map((all) => BigUint64Array.from(all)),
    }),
    fc.record({
      kind: fc.constant('disk-changes-request' as const),
      disk: fc.nat(2 ** 31 - 1),
      isOfNow: fc.boolean(),
    }),
    fc.record({
      kind: fc.constant('disk-changes' as const),
      disk: u32,
      known: fc.option(
        fc
          .tuple(u64, safe, fc.boolean(), fc.uniqueArray(u32, { maxLength: 40 }))
          .map(([session, number, isExact, regions]) => ({
            basis: basisOf(session.toString(16).padStart(16, '0'), number, isExact),
            regions: Uint32Array.from(regions).sort(),
          })),
      ),
    }),
    fc.tuple(safe, safe, safe, fc.boolean()).map(([report, a, b, repair]) => ({
      kind: 'credit' as const,
      report,
      consumed: Math.min(a, b),
      expected: Math.max(a, b),
      repair,
    })),
    fc.record({ kind: fc.constant('probe' as const), next: safe }),
    fc.record({
      kind: fc.constant('heartbeat' as const),
      agent: u64,
      beat: safe,
      captured: anEpoch,
      acked: anEpoch,
      activity: fc.constantFrom(...agentActivities),
      sentAtMs: fc.double({ noNaN: true }).map((n) => n + 0),
    }),
    fc.record({
      kind: fc.constant('hello' as const),
      protocol: fc.integer({ min: 1, max: 3 }),
      protocolMax: fc.integer({ min: 3, max: 0xffff }),
      agent: hex(16),
      guestName: text,
      instance: hex(16),
      secret: hex(384),
      hash: fc.constantFrom('xxh3' as const, 'xxh64' as const),
      blockBytes: fc.constantFrom(64 as const, 128 as const, 256 as const),
      generalCodec: fc.constantFrom('lz4' as const, 'gzip' as const, 'none' as const),
      windowBytes: fc.integer({ min: bounds.windowBytesMin, max: bounds.windowBytesMax }),
      description: fc.record({
        memoryBytes: fc.integer({ min: 4096, max: 2 ** 46 }),
        vcpus: fc.integer({ min: 1, max: 4096 }),
        machine: text,
        accelerator: text,
        qemuVersion: text,
        devicesDigest: text,
      }),
      diskBytes: fc.array(fc.integer({ min: 1, max: 2 ** 50 }), { maxLength: 8 }),
      base: fc.option(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
    }),
    fc.record({
      kind: fc.constant('welcome' as const),
      protocol: fc.integer({ min: 1, max: 0xffff }),
      agent: hex(16),
      holds: fc.option(
        fc.record({
          session: hex(16).map(sessionId),
          epoch: anEpoch,
          term: safe.map(term),
        }),
      ),
      regionPages: fc.integer({ min: 1, max: 2 ** 20 }),
      hasBase: fc.boolean(),
    }),
    fc.record({ kind: fc.constant('refuse' as const), code: text, message: text, hint: text }),
    fc.record({ kind: fc.constant('ack' as const), epoch: anEpoch }),
    fc.record({ kind: fc.constant('resync' as const), epoch: anEpoch, code: text, reason: text }),
    fc.record({ kind: fc.constant('stand-down' as const), agent: hex(16), reason: text }),
    fc.record({
      kind: fc.constantFrom('region-digests-request' as const, 'page-digests-request' as const),
      epoch: anEpoch,
      first: u32,
      count: fc.integer({ min: 0, max: 65536 }),
    }),
    fc.record({
      kind: fc.constantFrom('region-digests' as const, 'page-digests' as const),
      epoch: anEpoch,
      first: u32,
      digests,
    }),
    fc.record({
      kind: fc.constantFrom('switchover-request' as const, 'switchover-ready' as const),
    }),
    fc.record({
      kind: fc.constantFrom('hand-over' as const, 'handed-over' as const),
      epoch: anEpoch,
    }),
    fc.record({ kind: fc.constant('verify-request' as const), epoch: anEpoch }),
    fc.record({
      kind: fc.constant('verify' as const),
      epoch: anEpoch,
      root: u64,
      first: u32,
      digests,
    }),
    fc.record({
      kind: fc.constant('input-log' as const),
      epoch: anEpoch,
      first: fc.integer({ min: 2 ** 20, max: 2 ** 40 }),
      replayFrom: fc.nat(2 ** 20),
      frames: fc.array(fc.record({ card: fc.nat(7), frame: payload }), { maxLength: 5 }),
    }),
    fc.record({ kind: fc.constant('input-logged' as const), sequence: safe }),
  );
}

const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const safe = fc.maxSafeNat();
const anEpoch = safe.map(epoch);
const text = fc.string({ maxLength: 60, unit: 'grapheme' }).filter((value) => value.length <= 63);
const payload = fc.uint8Array({ maxLength: 300 });
const digests = fc.array(u64, { maxLength: 40 }).map((each) => BigUint64Array.from(each));
const hex = (digits: number) =>
  fc
    .array(fc.constantFrom(...'0123456789abcdef'), { minLength: digits, maxLength: digits })
    .map((each) => each.join(''));
const part = fc
  .record({
    kind: fc.constantFrom('baseline' as const, 'device' as const),
    count: fc.integer({ min: 1, max: 1000 }),
    at: fc.double({ min: 0, max: 0.999, noNaN: true }),
    payload,
    more: fc.integer({ min: 0, max: 2 ** 25 }),
  })
  .map(({ kind, count, at, payload: bytes, more }) => ({
    kind,
    index: Math.floor(at * count),
    count,
    totalBytes: bytes.byteLength + more,
    payload: bytes,
  }));
