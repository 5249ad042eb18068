/**
 * Bodies of the data stream, little-endian. One epoch is
 * BEGIN, then CHUNK, BASELINE and DEVICE in any order, then COMMIT or ABORT. Changes of disks
 * (`disk-body.ts`) travel between them.
 *
 *   BEGIN      u32 epoch kind (1 sync, 2 delta) · u32 0 · u64 base epoch
 *   CHUNK      encoded pages; only the codec looks inside
 *   BASELINE   u32 index · u32 count · u64 total bytes · this part's bytes
 *   DEVICE     the same
 *   COMMIT     u64 epoch digest · u64 RAM digest · u32 chunks · u32 pages · u64 bytes
 *   ABORT      JSON {code, reason}
 *
 * The epoch digest is XXH64 over the bodies of all frames of the epoch before COMMIT, in order.
 */
import { bounds } from '../bounds.ts';
import { type Epoch, epoch } from '../ids.ts';
import { ByteReader, ByteWriter } from './byte-fields.ts';
import { corruptBody } from './corrupt-body.ts';
import { type DiskMessage, decodeDiskBody, encodeDiskBody } from './disk-body.ts';
import { JsonFields, jsonBody } from './json-fields.ts';

/** Opens an epoch. */
export interface Begin {
  readonly kind: 'begin';
  /** `sync` brings a backup level; `delta` follows the epoch `base`. */
  readonly epochKind: 'sync' | 'delta';
  /** The epoch that this one is applied to; 0 where there is none. */
  readonly base: Epoch;
}

/** Encoded pages, as a view. */
export interface Chunk {
  readonly kind: 'chunk';
  readonly payload: Uint8Array;
}

/** A piece of a byte string that may be larger than a frame: the baseline or device state. */
export interface Part {
  readonly kind: 'baseline' | 'device';
  /** From 0 to `count` − 1, sent in order. */
  readonly index: number;
  readonly count: number;
  /** Size of the whole. */
  readonly totalBytes: number;
  /** A view. */
  readonly payload: Uint8Array;
}

/** Closes an epoch: everything before it can be applied. */
export interface Commit {
  readonly kind: 'commit';
  readonly epochDigest: bigint;
  /** Root digest of the whole RAM at this epoch. */
  readonly ramDigest: bigint;
  readonly chunkCount: number;
  readonly pageCount: number;
  /** Bytes of the bodies before COMMIT. */
  readonly bytes: number;
}

/** Closes an epoch: forget it. */
export interface Abort {
  readonly kind: 'abort';
  readonly code: string;
  readonly reason: string;
}

export type StreamMessage = Begin | Chunk | Part | Commit | Abort | DiskMessage;

/** The body of a message of the stream, as parts for `StreamSender.send`. */
export function encodeStreamBody(message: StreamMessage): Uint8Array[] {
  switch (message.kind) {
    case 'begin':
      return [
        new ByteWriter(16)
          .u32(message.epochKind === 'sync' ? 1 : 2)
          .u32(0)
          .safe(message.base).bytes,
      ];
    case 'chunk':
      return [message.payload];
    case 'baseline':
    case 'device': {
      const { index, count, totalBytes, payload } = message;
      return [new ByteWriter(16).u32(index).u32(count).safe(totalBytes).bytes, payload];
    }
    case 'commit': {
      const writer = new ByteWriter(32).u64(message.epochDigest).u64(message.ramDigest);
      return [writer.u32(message.chunkCount).u32(message.pageCount).safe(message.bytes).bytes];
    }
    case 'abort':
      return [jsonBody({ code: message.code, reason: message.reason })];
    case 'disk':
    case 'disk-seal':
      return encodeDiskBody(message);
  }
}

/** Throws `E_FRAME_CORRUPT`. */
export function decodeStreamBody(kind: StreamMessage['kind'], body: Uint8Array): StreamMessage {
  switch (kind) {
    case 'begin':
      return decodeBegin(body);
    case 'chunk':
      return { kind, payload: body };
    case 'baseline':
    case 'device':
      return decodePart(kind, body);
    case 'commit':
      return decodeCommit(body);
    case 'abort': {
      const fields = JsonFields.parse(body, 'abort');
      return { kind, code: fields.text('code', 64), reason: fields.text('reason') };
    }
    case 'disk':
    case 'disk-seal':
      return decodeDiskBody(kind, body);
  }
}

/** Largest whole that parts of `kind` may make up. */
export const partBytesMax = (kind: Part['kind']): number =>
  kind === 'device' ? bounds.deviceBytesMax : bounds.baselineBytesMax;

function decodeBegin(body: Uint8Array): Begin {
  const reader = new ByteReader(body, 'begin');
  const code = reader.u32();
  const reserved = reader.u32();
  const base = epoch(reader.safe());
  reader.end();
  if ((code !== 1 && code !== 2) || reserved !== 0) {
    throw corruptBody(`begin: epoch kind ${code} is not known`);
  }
  return { kind: 'begin', epochKind: code === 1 ? 'sync' : 'delta', base };
}

function decodePart(kind: Part['kind'], body: Uint8Array): Part {
  const reader = new ByteReader(body, kind);
  const [index, count, totalBytes] = [reader.u32(), reader.u32(), reader.safe()];
  const payload = reader.rest();
  if (totalBytes > partBytesMax(kind)) throw corruptBody(`${kind}: ${totalBytes} bytes in all`);
  if (index >= count || payload.byteLength > totalBytes) {
    throw corruptBody(`${kind}: part ${index} of ${count} with ${payload.byteLength} bytes`);
  }
  return { kind, index, count, totalBytes, payload };
}

function decodeCommit(body: Uint8Array): Commit {
  const reader = new ByteReader(body, 'commit');
  const [epochDigest, ramDigest] = [reader.u64(), reader.u64()];
  const [chunkCount, pageCount, bytes] = [reader.u32(), reader.u32(), reader.safe()];
  reader.end();
  return { kind: 'commit', epochDigest, ramDigest, chunkCount, pageCount, bytes };
}
