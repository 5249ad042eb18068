/**
 * Bodies that ask for digests of a disk and answer, little-endian: 8 bytes a digest.
 *
 *   DISK_DIGESTS request   u32 disk · u32 of (1 regions, 2 pages) · u32 first · u32 count
 *   DISK_DIGESTS answer    u32 disk · u32 0 · u32 first · u32 count · count × u64
 *
 * Pages are 4 KiB, regions are runs of pages as in the digests of RAM.
 */
import { bounds } from '../bounds.ts';
import { ByteReader, ByteWriter } from './byte-fields.ts';
import { corruptBody } from './corrupt-body.ts';

export interface DiskDigestsRequest {
  readonly kind: 'disk-digests-request';
  readonly disk: number;
  readonly of: 'regions' | 'pages';
  /** Index of the first region or page, and how many, at most `bounds.digestsMax`. */
  readonly first: number;
  readonly count: number;
}

export interface DiskDigestsAnswer {
  readonly kind: 'disk-digests';
  readonly disk: number;
  readonly first: number;
  readonly digests: BigUint64Array;
}

export type DiskDigestMessage = DiskDigestsRequest | DiskDigestsAnswer;

export function encodeDiskDigestBody(message: DiskDigestMessage): Uint8Array[] {
  if (message.kind === 'disk-digests-request') {
    const { disk, of, first, count } = message;
    const writer = new ByteWriter(16).u32(disk).u32(of === 'regions' ? 1 : 2);
    return [writer.u32(first).u32(count).bytes];
  }
  const { disk, first, digests } = message;
  if (digests.length > bounds.digestsMax) throw new Error(`${digests.length} digests`);
  const { buffer, byteOffset, byteLength } = digests;
  const head = new ByteWriter(16).u32(disk).u32(0).u32(first).u32(digests.length).bytes;
  return [head, new Uint8Array(buffer, byteOffset, byteLength)];
}

/** Throws `E_FRAME_CORRUPT`. */
export function decodeDiskDigestBody(
  kind: DiskDigestMessage['kind'],
  body: Uint8Array,
): DiskDigestMessage {
  const reader = new ByteReader(body, kind);
  const disk = reader.u32();
  const code = reader.u32();
  if (kind === 'disk-digests-request') {
    if (code !== 1 && code !== 2) throw corruptBody(`${kind}: digests of kind ${code}`);
    const [first, count] = [reader.u32(), checked(reader.u32(), kind)];
    reader.end();
    return { kind, disk, of: code === 1 ? 'regions' : 'pages', first, count };
  }
  if (code !== 0) throw corruptBody(`${kind}: reserved bytes are not 0`);
  const first = reader.u32();
  const digests = reader.u64s(checked(reader.u32(), kind));
  reader.end();
  return { kind, disk, first, digests };
}

function checked(count: number, kind: string): number {
  if (count > bounds.digestsMax) throw corruptBody(`${kind}: ${count} digests are over the bound`);
  return count;
}
