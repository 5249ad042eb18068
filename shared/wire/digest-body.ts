/**
 * Bodies that ask for digests of RAM and answer, little-endian: 8 bytes a digest.
 *
 *   REGION_DIGESTS, PAGE_DIGESTS request   u32 first · u32 count
 *   VERIFY request                         nothing; the header has the epoch
 *   REGION_DIGESTS, PAGE_DIGESTS answer    u32 first · u32 count · count × u64
 *   VERIFY answer                          u64 root · u32 first · u32 count · count × u64
 *
 * Regions are runs of `regionPages` pages (WELCOME says how many), pages are 4 KiB.
 */
import { bounds } from '../bounds.ts';
import type { Epoch } from '../ids.ts';
import { ByteReader, ByteWriter } from './byte-fields.ts';
import { corruptBody } from './corrupt-body.ts';

export interface DigestsRequest {
  readonly kind: 'region-digests-request' | 'page-digests-request';
  readonly epoch: Epoch;
  /** Index of the first region or page, and how many, at most `bounds.digestsMax`. */
  readonly first: number;
  readonly count: number;
}

export interface DigestsAnswer {
  readonly kind: 'region-digests' | 'page-digests';
  readonly epoch: Epoch;
  readonly first: number;
  readonly digests: BigUint64Array;
}

export interface VerifyRequest {
  readonly kind: 'verify-request';
  readonly epoch: Epoch;
}

/** Region digests of a whole epoch; several answers where they do not fit one. */
export interface VerifyAnswer {
  readonly kind: 'verify';
  readonly epoch: Epoch;
  /** Root digest of the whole RAM. */
  readonly root: bigint;
  readonly first: number;
  readonly digests: BigUint64Array;
}

export type DigestMessage = DigestsRequest | DigestsAnswer | VerifyRequest | VerifyAnswer;

/** The body as parts. Throws a plain Error on more than `bounds.digestsMax` digests. */
export function encodeDigestBody(message: DigestMessage): Uint8Array[] {
  switch (message.kind) {
    case 'region-digests-request':
    case 'page-digests-request':
      return [range(new ByteWriter(8), message.first, message.count)];
    case 'region-digests':
    case 'page-digests': {
      const { first, digests } = message;
      return [range(new ByteWriter(8), first, digests.length), bytesOf(digests)];
    }
    case 'verify-request':
      return [];
    case 'verify': {
      const { first, digests, root } = message;
      return [range(new ByteWriter(16).u64(root), first, digests.length), bytesOf(digests)];
    }
  }
}

/** `epoch` is the frame's. Throws `E_FRAME_CORRUPT`. */
export function decodeDigestBody(
  kind: DigestMessage['kind'],
  epoch: Epoch,
  body: Uint8Array,
): DigestMessage {
  const reader = new ByteReader(body, kind);
  const message = readDigests(kind, epoch, reader);
  reader.end();
  return message;
}

function readDigests(kind: DigestMessage['kind'], epoch: Epoch, reader: ByteReader): DigestMessage {
  switch (kind) {
    case 'region-digests-request':
    case 'page-digests-request':
      return { kind, epoch, first: reader.u32(), count: checkedCount(reader, kind) };
    case 'region-digests':
    case 'page-digests':
      return { kind, epoch, first: reader.u32(), digests: reader.u64s(checkedCount(reader, kind)) };
    case 'verify-request':
      return { kind, epoch };
    case 'verify': {
      const [root, first] = [reader.u64(), reader.u32()];
      return { kind, epoch, root, first, digests: reader.u64s(checkedCount(reader, kind)) };
    }
  }
}

function checkedCount(reader: ByteReader, kind: string): number {
  const count = reader.u32();
  if (count > bounds.digestsMax) throw corruptBody(`${kind}: ${count} digests are over the bound`);
  return count;
}

function range(writer: ByteWriter, first: number, count: number): Uint8Array {
  if (count > bounds.digestsMax) throw new Error(`${count} digests in one message`);
  return writer.u32(first).u32(count).bytes;
}

const bytesOf = (digests: BigUint64Array): Uint8Array =>
  new Uint8Array(digests.buffer, digests.byteOffset, digests.byteLength);
