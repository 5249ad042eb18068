/**
 * Changes of the guest's disks, little-endian. DISK frames come in the order of the changes and
 * may run ahead of the BEGIN of their epoch, which the header names; all of an epoch's come
 * before its DISK_SEAL, and that before its COMMIT.
 *
 *   DISK        changes, one after the other:
 *                 u32 disk · u32 kind (1 data, 2 zeros) · u64 offset · u64 length · data of kind 1
 *   DISK_SEAL   u64 bytes of the DISK bodies · u64 XXH64 over them, in order · u32 frames · u32 0
 */
import { ByteReader, ByteWriter } from './byte-fields.ts';
import { corruptBody } from './corrupt-body.ts';

/** Changes as they lie on the wire, as a view. */
export interface DiskChanges {
  readonly kind: 'disk';
  readonly payload: Uint8Array;
}

/** What the DISK frames of one epoch add up to. */
export interface DiskSeal {
  readonly kind: 'disk-seal';
  readonly bytes: number;
  readonly digest: bigint;
  readonly frameCount: number;
}

export type DiskMessage = DiskChanges | DiskSeal;

export interface DiskChange {
  /** From 0, in the order of the configuration. */
  readonly disk: number;
  readonly offset: number;
  readonly length: number;
  /** A view; undefined where the range is to read as zeros. */
  readonly data: Uint8Array | undefined;
}

export const changeHeadBytes = 24;

export function encodeDiskBody(message: DiskMessage): Uint8Array[] {
  if (message.kind === 'disk') return [message.payload];
  const { bytes, digest, frameCount } = message;
  return [new ByteWriter(24).safe(bytes).u64(digest).u32(frameCount).u32(0).bytes];
}

/** Throws `E_FRAME_CORRUPT`. What a DISK body holds is looked at by `diskChanges`. */
export function decodeDiskBody(kind: DiskMessage['kind'], body: Uint8Array): DiskMessage {
  if (kind === 'disk') return { kind, payload: body };
  const reader = new ByteReader(body, kind);
  const [bytes, digest, frameCount, reserved] = [
    reader.safe(),
    reader.u64(),
    reader.u32(),
    reader.u32(),
  ];
  reader.end();
  if (reserved !== 0) throw corruptBody('disk-seal: reserved bytes are not 0');
  return { kind, bytes, digest, frameCount };
}

/** Writes the head of a change at `at`; the data of one with data follows it. */
export function writeChangeHead(
  view: DataView,
  at: number,
  { disk, offset, length }: Omit<DiskChange, 'data'>,
  hasData: boolean,
): void {
  view.setUint32(at, disk, true);
  view.setUint32(at + 4, hasData ? 1 : 2, true);
  view.setBigUint64(at + 8, BigInt(offset), true);
  view.setBigUint64(at + 16, BigInt(length), true);
}

/**
 * The changes of a DISK body, in order. `sizes` has the size of each disk in bytes.
 * Throws `E_FRAME_CORRUPT` where one is cut off or lies outside its disk.
 */
export function* diskChanges(body: Uint8Array, sizes: readonly number[]): Generator<DiskChange> {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  let at = 0;
  while (at < body.byteLength) {
    if (at + changeHeadBytes > body.byteLength) throw corruptBody('disk: a change is cut off');
    const disk = view.getUint32(at, true);
    const kind = view.getUint32(at + 4, true);
    const offset = Number(view.getBigUint64(at + 8, true));
    const length = Number(view.getBigUint64(at + 16, true));
    const sizeBytes = sizes[disk];
    if (sizeBytes === undefined || (kind !== 1 && kind !== 2)) {
      throw corruptBody(`disk: a change of kind ${kind} to disk ${disk}`);
    }
    if (!(length > 0 && offset + length <= sizeBytes)) {
      throw corruptBody(`disk: ${length} bytes at ${offset} of ${sizeBytes}`);
    }
    at += changeHeadBytes;
    if (kind === 2) {
      yield { disk, offset, length, data: undefined };
    } else {
      if (at + length > body.byteLength) throw corruptBody('disk: the data of a change is cut off');
      yield { disk, offset, length, data: body.subarray(at, at + length) };
      at += length;
    }
  }
}
