/**
 * A frame: what every message between the two sides is wrapped in. Version 1, little-endian:
 *
 *    0        4   5   6     8                16               24
 *    ├────────┼───┼───┼─────┼────────────────┼────────────────┤
 *    │ "USTD" │ver│knd│  0  │ guest          │ session        │
 *    ├────────┴───┴───┴─────┼────────────────┼────────────────┤
 *    │ 24 term              │ 32 epoch       │ 40 sequence    │
 *    ├──────────┬───────────┼────────────────┼────────────────┤
 *    │48 body   │52  0      │ 56 body        │ 64 header      │
 *    │   length │           │    checksum    │    checksum    │
 *    ├──────────┴───────────┴────────────────┴────────────────┘
 *    │ 72 body …
 *
 *   guest        XXH64 of the guest's name
 *   session      drawn at random by the primary; 0 where there is none
 *   term, epoch  below 2^53; 0 where there is none
 *   sequence     place in the session's data stream, from 1; 0 for what is not in it
 *   checksums    XXH64 of the body, XXH64 of bytes 0–63
 *
 * The magic and the version keep their places in every version. A decoded body is a view of the
 * bytes that were decoded: nothing is copied and nothing is allocated by a length from the wire.
 */
import { bodyBytesMax, bounds } from '../bounds.ts';
import { digest64 } from '../codec/digest.ts';
import { UnderstudyError } from '../errors.ts';
import type { Epoch, GuestName, SessionId, Term } from '../ids.ts';
import { type FrameKind, frameKindCodes, frameKindOf } from './frame-kind.ts';

export const frameVersion = 1;
export const frameHeaderBytes = bounds.frameHeaderBytes;

export interface FrameHeader {
  readonly kind: FrameKind;
  /** From `guestHash`. */
  readonly guest: bigint;
  /** From `sessionBits`; 0 before a session exists. */
  readonly session: bigint;
  readonly term: Term;
  readonly epoch: Epoch;
  /** Place in the session's data stream, from 1; 0 for what is not in it. */
  readonly sequence: number;
}

export interface Frame extends FrameHeader {
  /** A view of the decoded bytes. */
  readonly body: Uint8Array;
}

/** A frame in memory of its own. Throws `E_FRAME_TOO_LARGE`. */
export function encodeFrame(header: FrameHeader, parts: readonly Uint8Array[]): Uint8Array {
  const frame = new Uint8Array(frameHeaderBytes + byteLengthOf(parts));
  writeFrame(frame, 0, header, parts);
  return frame;
}

/**
 * Writes a frame to `into` at `offset` and returns its size in bytes. `parts` are copied, one
 * after the other, and become the body. Throws `E_FRAME_TOO_LARGE`.
 */
export function writeFrame(
  into: Uint8Array,
  offset: number,
  header: FrameHeader,
  parts: readonly Uint8Array[],
): number {
  const bodyBytes = byteLengthOf(parts);
  if (bodyBytes > bodyBytesMax) throw tooLarge(bodyBytes, header.kind);
  let at = offset + frameHeaderBytes;
  for (const part of parts) {
    into.set(part, at);
    at += part.byteLength;
  }
  const body = into.subarray(offset + frameHeaderBytes, at);

  const view = new DataView(into.buffer, into.byteOffset + offset, frameHeaderBytes);
  view.setUint32(at0.magic, magic, true);
  view.setUint8(at0.version, frameVersion);
  view.setUint8(at0.kind, frameKindCodes[header.kind]);
  view.setUint16(at0.reserved, 0, true);
  view.setBigUint64(at0.guest, header.guest, true);
  view.setBigUint64(at0.session, header.session, true);
  setSafe(view, at0.term, header.term);
  setSafe(view, at0.epoch, header.epoch);
  setSafe(view, at0.sequence, header.sequence);
  view.setUint32(at0.bodyLength, bodyBytes, true);
  view.setUint32(at0.reserved2, 0, true);
  view.setBigUint64(at0.bodyChecksum, digest64(body), true);
  const covered = into.subarray(offset, offset + at0.headerChecksum);
  view.setBigUint64(at0.headerChecksum, digest64(covered), true);
  return at - offset;
}

/**
 * Decodes `bytes`, which must be exactly one frame, and checks all of it.
 * Throws `E_FRAME_CORRUPT`, `E_FRAME_VERSION`, `E_FRAME_TOO_LARGE`.
 */
export function decodeFrame(bytes: Uint8Array): Frame {
  const { header, bodyBytes, bodyChecksum } = decodeHeader(bytes);
  const body = bytes.subarray(frameHeaderBytes, frameHeaderBytes + bodyBytes);
  if (digest64(body) !== bodyChecksum) {
    throw corrupt(`the body of a ${header.kind} frame does not match its checksum`);
  }
  return { ...header, body };
}

/** Throws `E_FRAME_FOREIGN` where a frame is about another guest or, if given, session. */
export function checkOrigin(frame: FrameHeader, guest: bigint, session?: bigint): void {
  if (frame.guest !== guest) throw foreign(frame, 'guest');
  if (session !== undefined && frame.session !== session) throw foreign(frame, 'session');
}

/** Throws `E_FRAME_STALE` where a frame is of an older term than `atLeast`. */
export function checkTerm(frame: FrameHeader, atLeast: Term): void {
  if (frame.term >= atLeast) return;
  const what = `a ${frame.kind} frame of term ${frame.term}, and the session is in term ${atLeast}`;
  throw new UnderstudyError('E_FRAME_STALE', what, {
    hint: 'A few are normal where a term changes. If they keep coming, an old copy speaks: find it.',
    fields: { term: frame.term, atLeast, kind: frame.kind, session: hex64(frame.session) },
  });
}

/** A guest's name as frames carry it. */
export const guestHash = (name: GuestName): bigint => digest64(utf8.encode(name));

export const sessionBits = (session: SessionId): bigint => BigInt(`0x${session}`);

/** 16 lower-case hex digits, as `SessionId` and digests are written. */
export const hex64 = (bits: bigint): string => bits.toString(16).padStart(16, '0');

const magic = 0x44545355; // "USTD"
const utf8 = new TextEncoder();

const at0 = {
  magic: 0,
  version: 4,
  kind: 5,
  reserved: 6,
  guest: 8,
  session: 16,
  term: 24,
  epoch: 32,
  sequence: 40,
  bodyLength: 48,
  reserved2: 52,
  bodyChecksum: 56,
  headerChecksum: 64,
} as const;
if (at0.headerChecksum + 8 !== frameHeaderBytes) throw new Error('frame header layout');

function decodeHeader(bytes: Uint8Array) {
  if (bytes.byteLength < frameHeaderBytes) {
    throw corrupt(`a frame of ${bytes.byteLength} bytes is shorter than a header`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, frameHeaderBytes);
  if (view.getUint32(at0.magic, true) !== magic) throw corrupt('a message is not a frame');
  const version = view.getUint8(at0.version);
  if (version !== frameVersion) throw otherVersion(`a frame of version ${version}`);
  if (digest64(bytes.subarray(0, at0.headerChecksum)) !== getU64(view, at0.headerChecksum)) {
    throw corrupt("a frame's header does not match its checksum");
  }
  const code = view.getUint8(at0.kind);
  const kind = frameKindOf(code);
  if (kind === undefined) throw otherVersion(`a frame of kind ${code}`);
  if (view.getUint16(at0.reserved, true) !== 0 || view.getUint32(at0.reserved2, true) !== 0) {
    throw corrupt('reserved bytes of a header are not zero');
  }
  const bodyBytes = view.getUint32(at0.bodyLength, true);
  if (bodyBytes > bodyBytesMax) throw tooLarge(bodyBytes, kind);
  if (bytes.byteLength !== frameHeaderBytes + bodyBytes) {
    const found = bytes.byteLength - frameHeaderBytes;
    throw corrupt(`a ${kind} frame says ${bodyBytes} bytes of body and has ${found}`);
  }
  const header: FrameHeader = {
    kind,
    guest: getU64(view, at0.guest),
    session: getU64(view, at0.session),
    term: getSafe(view, at0.term) as Term,
    epoch: getSafe(view, at0.epoch) as Epoch,
    sequence: getSafe(view, at0.sequence),
  };
  return { header, bodyBytes, bodyChecksum: getU64(view, at0.bodyChecksum) };
}

const getU64 = (view: DataView, at: number): bigint => view.getBigUint64(at, true);

function getSafe(view: DataView, at: number): number {
  const value = view.getUint32(at + 4, true) * 2 ** 32 + view.getUint32(at, true);
  if (!Number.isSafeInteger(value)) throw corrupt('a number in a frame is not below 2^53');
  return value;
}

function setSafe(view: DataView, at: number, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`${value} in a frame header`);
  view.setUint32(at, value % 2 ** 32, true);
  view.setUint32(at + 4, Math.floor(value / 2 ** 32), true);
}

export function byteLengthOf(parts: readonly Uint8Array[]): number {
  let bytes = 0;
  for (const part of parts) bytes += part.byteLength;
  return bytes;
}

function corrupt(message: string): UnderstudyError {
  return new UnderstudyError('E_FRAME_CORRUPT', message, {
    hint: 'Something between the two sides changes or cuts messages; check the NATS path.',
  });
}

function otherVersion(what: string): UnderstudyError {
  const message = `${what} came, and this side speaks frame version ${frameVersion}`;
  return new UnderstudyError('E_FRAME_VERSION', message, {
    hint: 'The two hosts run releases too far apart: update the older one.',
  });
}

function tooLarge(bodyBytes: number, kind: FrameKind): UnderstudyError {
  const message = `a ${kind} frame of ${bodyBytes} bytes is over the bound of ${bodyBytesMax}`;
  return new UnderstudyError('E_FRAME_TOO_LARGE', message, {
    hint: 'Run the same release on both sides.',
    fields: { bodyBytes, bodyBytesMax },
  });
}

function foreign(frame: FrameHeader, what: 'guest' | 'session'): UnderstudyError {
  return new UnderstudyError('E_FRAME_FOREIGN', `a ${frame.kind} frame of another ${what}`, {
    hint: 'Check that no second primary runs for this guest and that guest names are unique.',
    fields: { guest: hex64(frame.guest), session: hex64(frame.session), kind: frame.kind },
  });
}
