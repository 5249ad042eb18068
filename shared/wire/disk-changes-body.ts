/**
 * Bodies that ask in how far a disk differs from that of an epoch, and answer, little-endian.
 *
 *   DISK_CHANGES request   u32: bit 31 set: as it is now; the bits below: disk
 *   DISK_CHANGES answer    u32 disk · u32 what is known (0 nothing, 1 gone on from the epoch,
 *                          2 exactly the epoch) · u64 session · u64 epoch · u32 count · count × u32
 *
 * What is counted are the indices, rising, of the regions of 16 MiB in which the disk may differ.
 */
import { basisOf, type KnownChanges } from '../change-basis.ts';
import { ByteReader, ByteWriter } from './byte-fields.ts';
import { corruptBody } from './corrupt-body.ts';
import { hex64, sessionBits } from './frame.ts';

export interface DiskChangesRequest {
  readonly kind: 'disk-changes-request';
  readonly disk: number;
  /** What is known now, and is on the disk; false: what was known before the session. */
  readonly isOfNow: boolean;
}

export interface DiskChangesAnswer {
  readonly kind: 'disk-changes';
  readonly disk: number;
  readonly known: KnownChanges | null;
}

export type DiskChangesMessage = DiskChangesRequest | DiskChangesAnswer;

/** A release that does not know it knows nothing of such a disk, and says so. */
const ofNow = 2 ** 31;

/** More than so many regions, 1 TiB, are as good as all of a disk. */
export const namedRegionsMax = 65_536;

export function encodeDiskChangesBody(message: DiskChangesMessage): Uint8Array[] {
  const { disk } = message;
  if (message.kind === 'disk-changes-request') {
    if (disk >= ofNow) throw new Error(`disk ${disk}`);
    return [new ByteWriter(4).u32(disk + (message.isOfNow ? ofNow : 0)).bytes];
  }
  const { known } = message;
  if (known === null) return [new ByteWriter(28).u32(disk).u32(0).u64(0n).u64(0n).u32(0).bytes];
  const { basis, regions } = known;
  if (regions.length > namedRegionsMax) throw new Error(`${regions.length} regions`);
  const writer = new ByteWriter(28 + 4 * regions.length).u32(disk).u32(basis.isExact ? 2 : 1);
  writer.u64(sessionBits(basis.session)).safe(basis.epoch).u32(regions.length);
  for (const region of regions) writer.u32(region);
  return [writer.bytes];
}

/** Throws `E_FRAME_CORRUPT`. */
export function decodeDiskChangesBody(
  kind: DiskChangesMessage['kind'],
  body: Uint8Array,
): DiskChangesMessage {
  const reader = new ByteReader(body, kind);
  const disk = reader.u32();
  if (kind === 'disk-changes-request') {
    reader.end();
    return { kind, disk: disk % ofNow, isOfNow: disk >= ofNow };
  }
  const code = reader.u32();
  const [session, number, count] = [reader.u64(), reader.safe(), reader.u32()];
  const isNothing = code === 0 && session === 0n && number === 0 && count === 0;
  if (code > 2 || (code === 0 && !isNothing)) throw corruptBody(`${kind}: knows ${code}`);
  if (count > namedRegionsMax) throw corruptBody(`${kind}: ${count} regions are over the bound`);
  const regions = Uint32Array.from({ length: count }, () => reader.u32());
  reader.end();
  if (regions.some((region, at) => at > 0 && region <= regions[at - 1]!)) {
    throw corruptBody(`${kind}: regions that do not rise`);
  }
  if (code === 0) return { kind, disk, known: null };
  return { kind, disk, known: { basis: basisOf(hex64(session), number, code === 2), regions } };
}
