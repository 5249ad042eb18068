import { createHash } from 'node:crypto';
import {
  type BlockBytes,
  blockBytesChoices,
  type CodecSettings,
  secretBytes,
} from '../../shared/codec/codec-settings.ts';
import { type Epoch, epoch, type SessionId, sessionId, type Term, term } from '../../shared/ids.ts';

/**
 * What the backup knows about the RAM file beside it, as one self-checking record.
 *
 *      0  8   magic "USREPL\0\1" (the last byte is the version)
 *      8  8   sequence: the record with the highest one is in force
 *     16  4   phase
 *     20  4   page count of guest RAM
 *     24  64  guest name, zero-padded
 *     88  16  session, ASCII; zeros: none
 *    104  8   epoch
 *    112  8   term
 *    120  8   RAM digest
 *    128  4   hash: 0 none, 1 xxh3, 2 xxh64
 *    132  4   block bytes
 *    136  192 secret
 *    328  40  device state: which file (u32, 2 = none), bytes (u32), SHA-256
 *    368  40  baseline, likewise
 *    408  36  staged pages: count (u32), SHA-256 of their index
 *    444  4   1: a journal of disk changes belongs to the epoch; 0: none
 *    448  8   bytes of the bodies in it
 *    456  8   XXH64 over them
 *    464  16  zeros
 *    480  32  SHA-256 of bytes 0–479
 *
 * Numbers are little-endian.
 */
export interface ReplicaState {
  readonly guest: string;
  readonly pageCount: number;
  readonly phase: Phase;
  /** The epoch that the phase speaks of. */
  readonly checkpoint: Checkpoint | null;
  /** What its RAM digest was computed by. */
  readonly settings: CodecSettings | null;
  readonly device: BlobReference | null;
  readonly baseline: BlobReference | null;
  readonly staged: StagedReference;
  /** The journal of disk changes that is still to be written; null: none is. */
  readonly disks: DiskReference | null;
}

/**
 * - `empty`: RAM is of no use but as a base to compare digests with.
 * - `synchronising`: RAM is being overwritten in place, or was when its writer died.
 * - `redo`: the journal holds every page of `checkpoint`; RAM may have got some of them.
 * - `whole`: RAM is `checkpoint`.
 * - `taken`: RAM was `checkpoint` and then belonged to a guest that may have run on it.
 * - `lent`: RAM is `checkpoint` and belongs to a standby whose vCPUs nobody has let run yet.
 */
export type Phase = (typeof phases)[number];
const phases = ['empty', 'synchronising', 'redo', 'whole', 'taken', 'lent'] as const;

export interface Checkpoint {
  readonly session: SessionId;
  readonly epoch: Epoch;
  readonly term: Term;
  readonly ramDigest: bigint;
}

/** Contents of one of two files that take turns. */
export interface BlobReference {
  readonly file: 0 | 1;
  readonly bytes: number;
  readonly sha256: Uint8Array;
}

export interface StagedReference {
  readonly count: number;
  readonly sha256: Uint8Array;
}

/** A journal of disk changes, whole: what its bodies add up to. */
export interface DiskReference {
  readonly bytes: number;
  readonly digest: bigint;
}

export const stateBytes = 512;
export const sha256Bytes = 32;
export const nothingStaged: StagedReference = { count: 0, sha256: new Uint8Array(sha256Bytes) };

/** What becomes of a sealed epoch once its journals are in RAM and on the disks. */
export const writtenOut = { phase: 'whole', staged: nothingStaged, disks: null } as const;

/** What a new store holds: nothing. */
export const emptyState = (guest: string, pageCount: number): ReplicaState => ({
  guest,
  pageCount,
  phase: 'empty',
  checkpoint: null,
  settings: null,
  device: null,
  baseline: null,
  staged: nothingStaged,
  disks: null,
});

const magic = Uint8Array.of(0x55, 0x53, 0x52, 0x45, 0x50, 0x4c, 0, 1);
const hashes = [null, 'xxh3', 'xxh64'] as const;
const noFile = 2;
const checkedBytes = 480;

export const sha256 = (bytes: Uint8Array): Uint8Array =>
  new Uint8Array(createHash('sha256').update(bytes).digest());

export function encodeState(state: ReplicaState, sequence: number): Uint8Array {
  const bytes = new Uint8Array(stateBytes);
  const view = new DataView(bytes.buffer);
  bytes.set(magic, 0);
  view.setBigUint64(8, BigInt(sequence), true);
  view.setUint32(16, phases.indexOf(state.phase), true);
  view.setUint32(20, state.pageCount, true);
  putText(bytes, 24, 64, state.guest);
  if (state.checkpoint !== null) {
    putText(bytes, 88, 16, state.checkpoint.session);
    view.setBigUint64(104, BigInt(state.checkpoint.epoch), true);
    view.setBigUint64(112, BigInt(state.checkpoint.term), true);
    view.setBigUint64(120, state.checkpoint.ramDigest, true);
  }
  if (state.settings !== null) {
    const { hash, blockBytes, secret } = state.settings;
    if (secret.length !== secretBytes) throw new Error(`a secret of ${secret.length} bytes`);
    view.setUint32(128, hashes.indexOf(hash), true);
    view.setUint32(132, blockBytes, true);
    bytes.set(secret, 136);
  }
  putBlob(bytes, view, 328, state.device);
  putBlob(bytes, view, 368, state.baseline);
  view.setUint32(408, state.staged.count, true);
  bytes.set(state.staged.sha256, 412);
  if (state.disks !== null) {
    view.setUint32(444, 1, true);
    view.setBigUint64(448, BigInt(state.disks.bytes), true);
    view.setBigUint64(456, state.disks.digest, true);
  }
  bytes.set(sha256(bytes.subarray(0, checkedBytes)), checkedBytes);
  return bytes;
}

/** The record in `bytes` and its sequence, or why it is none. */
export function decodeState(
  bytes: Uint8Array,
): { readonly state: ReplicaState; readonly sequence: number } | { readonly why: string } {
  if (bytes.length < stateBytes) return { why: 'truncated' };
  const view = new DataView(bytes.buffer, bytes.byteOffset, stateBytes);
  if (!equal(bytes.subarray(0, 7), magic.subarray(0, 7))) return { why: 'not a state record' };
  const checksum = bytes.subarray(checkedBytes, stateBytes);
  if (!equal(checksum, sha256(bytes.subarray(0, checkedBytes)))) {
    return { why: 'its checksum is wrong' };
  }
  if (bytes[7] !== magic[7]) return { why: `format version ${bytes[7]} is not known` };
  const phase = phases[view.getUint32(16, true)];
  const settings = getSettings(bytes, view);
  if (phase === undefined || settings === undefined) return { why: 'a field is out of range' };
  const state: ReplicaState = {
    guest: getText(bytes, 24, 64),
    pageCount: view.getUint32(20, true),
    phase,
    checkpoint: getCheckpoint(bytes, view),
    settings,
    device: getBlob(bytes, view, 328),
    baseline: getBlob(bytes, view, 368),
    staged: { count: view.getUint32(408, true), sha256: bytes.slice(412, 444) },
    disks: getDisks(view),
  };
  return { state, sequence: Number(view.getBigUint64(8, true)) };
}

export function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}

function getCheckpoint(bytes: Uint8Array, view: DataView): Checkpoint | null {
  const session = getText(bytes, 88, 16);
  if (session === '') return null;
  return {
    session: sessionId(session),
    epoch: epoch(Number(view.getBigUint64(104, true))),
    term: term(Number(view.getBigUint64(112, true))),
    ramDigest: view.getBigUint64(120, true),
  };
}

/** Undefined where a field is out of range. */
function getSettings(bytes: Uint8Array, view: DataView): CodecSettings | null | undefined {
  const hash = hashes[view.getUint32(128, true)];
  if (hash === undefined || hash === null) return hash;
  const blockBytes = view.getUint32(132, true) as BlockBytes;
  if (!blockBytesChoices.includes(blockBytes)) return undefined;
  const pageCount = view.getUint32(20, true);
  return { pageCount, blockBytes, hash, secret: bytes.slice(136, 136 + secretBytes) };
}

function getDisks(view: DataView): DiskReference | null {
  if (view.getUint32(444, true) === 0) return null;
  const bytes = Number(view.getBigUint64(448, true));
  return { bytes, digest: view.getBigUint64(456, true) };
}

function putText(bytes: Uint8Array, at: number, size: number, text: string): void {
  const encoded = Buffer.from(text, 'latin1');
  if (encoded.length > size) throw new Error(`"${text}" is longer than ${size} bytes`);
  bytes.set(encoded, at);
}

function getText(bytes: Uint8Array, at: number, size: number): string {
  const field = bytes.subarray(at, at + size);
  const end = field.indexOf(0);
  return Buffer.from(end < 0 ? field : field.subarray(0, end)).toString('latin1');
}

function putBlob(bytes: Uint8Array, view: DataView, at: number, blob: BlobReference | null): void {
  view.setUint32(at, blob?.file ?? noFile, true);
  if (blob === null) return;
  view.setUint32(at + 4, blob.bytes, true);
  bytes.set(blob.sha256, at + 8);
}

function getBlob(bytes: Uint8Array, view: DataView, at: number): BlobReference | null {
  const file = view.getUint32(at, true);
  if (file !== 0 && file !== 1) return null;
  return { file, bytes: view.getUint32(at + 4, true), sha256: bytes.slice(at + 8, at + 40) };
}
