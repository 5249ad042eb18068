import test from 'ava';
import {
  decodeState,
  emptyState,
  encodeState,
  nothingStaged,
  type ReplicaState,
  sha256,
  stateBytes,
} from '../../../backup/store/replica-state.ts';
import { epoch, sessionId, term } from '../../../shared/ids.ts';

const full: ReplicaState = {
  guest: 'g'.repeat(63),
  pageCount: 2 ** 20,
  phase: 'redo',
  checkpoint: {
    session: sessionId('0123456789abcdef'),
    epoch: epoch(2 ** 40 + 3),
    term: term(7),
    ramDigest: 0xfedc_ba98_7654_3210n,
  },
  settings: {
    pageCount: 2 ** 20,
    blockBytes: 128,
    hash: 'xxh64',
    secret: new Uint8Array(192).map((_, i) => i ^ 0x5a),
  },
  device: { file: 1, bytes: 300_000, sha256: sha256(Uint8Array.of(1)) },
  baseline: { file: 0, bytes: 0, sha256: sha256(Uint8Array.of(2)) },
  staged: { count: 123_456, sha256: sha256(Uint8Array.of(3)) },
  disks: { bytes: 2 ** 33 + 1, digest: 0xfedcba9876543210n },
};

const plain = (state: ReplicaState): unknown =>
  JSON.parse(
    JSON.stringify(state, (_, value: unknown) => {
      if (typeof value === 'bigint') return `${value}n`;
      return value instanceof Uint8Array ? [...value] : value;
    }),
  );

test('a state record says after decoding what it said before encoding', (t) => {
  const states: ReplicaState[] = [full, emptyState('x', 1)];
  for (const phase of ['empty', 'synchronising', 'redo', 'whole', 'taken', 'lent'] as const) {
    states.push({ ...full, phase, staged: nothingStaged, baseline: null });
  }
  for (const state of states) {
    const bytes = encodeState(state, 2 ** 45 + 1);
    t.is(bytes.length, stateBytes);
    const decoded = decodeState(bytes);
    if ('why' in decoded) return t.fail(decoded.why);
    t.is(decoded.sequence, 2 ** 45 + 1);
    t.deepEqual(plain(decoded.state), plain(state));
  }
  return t.pass();
});

test('a state record that was cut, or had any bit flipped, is none', (t) => {
  const bytes = encodeState(full, 9);
  for (let length = 0; length < stateBytes; length++) {
    t.true('why' in decodeState(bytes.subarray(0, length)));
  }
  for (let bit = 0; bit < stateBytes * 8; bit++) {
    const damaged = bytes.slice();
    damaged[bit >> 3]! ^= 1 << (bit & 7);
    if (!('why' in decodeState(damaged))) t.fail(`bit ${bit}`);
  }
});

test('a state record of an unknown version or with a field out of range is none', (t) => {
  const change = (at: number, value: number): string => {
    const bytes = encodeState(full, 9);
    bytes[at] = value;
    bytes.set(sha256(bytes.subarray(0, 480)), 480);
    const decoded = decodeState(bytes);
    return 'why' in decoded ? decoded.why : '';
  };
  t.regex(change(7, 2), /version 2/);
  t.regex(change(16, 6), /out of range/);
  t.regex(change(128, 3), /out of range/);
  t.regex(change(132, 65), /out of range/);
  t.regex(change(0, 0), /not a state record/);
});
