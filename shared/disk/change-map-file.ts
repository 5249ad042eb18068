import { createHash } from 'node:crypto';
import { closeSync, fdatasyncSync, mkdirSync, openSync, readSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { basisOf, type ChangeBasis } from '../change-basis.ts';
import { systemCode, UnderstudyError } from '../errors.ts';

/** What a record of the file says; `basis` null: nothing is known. */
export interface MapRecord {
  readonly basis: ChangeBasis | null;
  /** One bit a region, the lowest first. */
  readonly bits: Uint8Array;
}

/** Which image a map is about. One that was put in its place has another inode, or is younger. */
export interface ImageIdentity {
  readonly sizeBytes: number;
  readonly device: bigint;
  readonly inode: bigint;
  /** When the file was made. */
  readonly bornNs: bigint;
}

const magic = Buffer.from('USCHMAP\x01', 'latin1');
const headBytes = 80;
const sumBytes = 32;

/**
 * The file of one disk's map of changes: two slots that take turns, each one record, synced before the
 * other is written over. The one with the higher sequence is in force if both check and follow one
 * another; else nothing is known. A record that was damaged later looks like one that was never written
 * whole, and the one before it is not true any more: it lacks what was changed since.
 *
 *    0  8   magic "USCHMAP\1" (the last byte is the version)
 *    8  8   sequence
 *   16  8   session as 8 bytes; zeros: nothing is known
 *   24  8   epoch
 *   32  8   1: the disk was exactly that of the epoch
 *   40  8   size of the disk
 *   48  8   device of the image
 *   56  8   inode of the image
 *   64  8   when the image was made, in nanoseconds
 *   72  8   bytes of the bitmap
 *   80  n   bitmap
 *   …   32  SHA-256 of all before
 *
 * Numbers are little-endian.
 */
export class ChangeMapFile {
  readonly #path: string;
  readonly #descriptor: number;
  readonly #identity: ImageIdentity;
  readonly #bitmapBytes: number;
  #sequence = 0n;
  #isAboutImage = false;
  /** Both slots check. */
  #isWhole = false;

  /** Opens the file, or makes it. What is not about this image counts as nothing known. */
  static open(
    path: string,
    identity: ImageIdentity,
    bitmapBytes: number,
  ): { readonly file: ChangeMapFile; readonly found: MapRecord } {
    let descriptor: number;
    try {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      descriptor = openSync(path, 'a+', 0o600);
      closeSync(descriptor);
      descriptor = openSync(path, 'r+');
    } catch (error) {
      throw mapError(path, error);
    }
    const file = new ChangeMapFile(path, descriptor, identity, bitmapBytes);
    return { file, found: file.#read() };
  }

  private constructor(
    path: string,
    descriptor: number,
    identity: ImageIdentity,
    bitmapBytes: number,
  ) {
    this.#path = path;
    this.#descriptor = descriptor;
    this.#identity = identity;
    this.#bitmapBytes = bitmapBytes;
  }

  /**
   * In force, and on the host's disk, when this returns. Throws `E_DISK_MAP`: then the record before it
   * is in force, or nothing is known; or, where `mayHold` is a field of the error and true, this one.
   * The first one takes the room of both slots: none after it is in want of room.
   */
  write(record: MapRecord): void {
    if (!this.#isWhole) this.#put(record);
    this.#put(record);
    this.#isWhole = true;
    this.#isAboutImage = true;
  }

  /** The record in force is about this very image. */
  get isAboutImage(): boolean {
    return this.#isAboutImage;
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  #put(record: MapRecord): void {
    const sequence = this.#sequence + 1n;
    const bytes = this.#encode(record, sequence);
    const at = Number(sequence & 1n) * this.#slotBytes;
    this.#isWhole = false;
    let done = 0;
    try {
      while (done < bytes.length) {
        done += writeSync(this.#descriptor, bytes, done, bytes.length - done, at + done);
      }
      fdatasyncSync(this.#descriptor);
    } catch (error) {
      throw mapError(this.#path, error, done === bytes.length);
    }
    this.#sequence = sequence;
  }

  get #slotBytes(): number {
    return Math.ceil((headBytes + this.#bitmapBytes + sumBytes) / 4096) * 4096;
  }

  #read(): MapRecord {
    const [even, odd] = [0, 1].map((slot) => {
      const bytes = Buffer.alloc(headBytes + this.#bitmapBytes + sumBytes);
      const read = readSync(this.#descriptor, bytes, 0, bytes.length, slot * this.#slotBytes);
      return read === bytes.length ? this.#decode(bytes) : undefined;
    });
    const isEvenNewer = even !== undefined && even.sequence > (odd?.sequence ?? 0n);
    const [newer, older] = isEvenNewer ? [even, odd] : [odd, even];
    this.#sequence = newer?.sequence ?? 0n;
    this.#isWhole = older !== undefined && older.sequence + 1n === this.#sequence;
    this.#isAboutImage = this.#isWhole && newer!.isOfImage;
    return this.#isAboutImage ? newer! : { basis: null, bits: new Uint8Array(this.#bitmapBytes) };
  }

  #encode({ basis, bits }: MapRecord, sequence: bigint): Buffer {
    const bytes = Buffer.alloc(headBytes + this.#bitmapBytes + sumBytes);
    const { sizeBytes, device, inode, bornNs } = this.#identity;
    magic.copy(bytes);
    bytes.writeBigUInt64LE(sequence, 8);
    bytes.writeBigUInt64LE(basis === null ? 0n : BigInt(`0x${basis.session}`), 16);
    bytes.writeBigUInt64LE(BigInt(basis?.epoch ?? 0), 24);
    bytes.writeBigUInt64LE(basis?.isExact ? 1n : 0n, 32);
    bytes.writeBigUInt64LE(BigInt(sizeBytes), 40);
    bytes.writeBigUInt64LE(device, 48);
    bytes.writeBigUInt64LE(inode, 56);
    bytes.writeBigUInt64LE(bornNs, 64);
    bytes.writeBigUInt64LE(BigInt(this.#bitmapBytes), 72);
    bytes.set(bits, headBytes);
    sha256(bytes).copy(bytes, bytes.length - sumBytes);
    return bytes;
  }

  /** Undefined where the slot does not check. */
  #decode(bytes: Buffer): (MapRecord & { sequence: bigint; isOfImage: boolean }) | undefined {
    if (!bytes.subarray(0, 8).equals(magic)) return undefined;
    if (!sha256(bytes).equals(bytes.subarray(bytes.length - sumBytes))) return undefined;
    const { sizeBytes, device, inode, bornNs } = this.#identity;
    const session = bytes.readBigUInt64LE(16);
    const isOfImage =
      bytes.readBigUInt64LE(40) === BigInt(sizeBytes) &&
      bytes.readBigUInt64LE(48) === device &&
      bytes.readBigUInt64LE(56) === inode &&
      bytes.readBigUInt64LE(64) === bornNs &&
      bytes.readBigUInt64LE(72) === BigInt(this.#bitmapBytes);
    const number = Number(bytes.readBigUInt64LE(24));
    const isExact = bytes.readBigUInt64LE(32) === 1n;
    const name = session.toString(16).padStart(16, '0');
    return {
      sequence: bytes.readBigUInt64LE(8),
      isOfImage,
      basis: session === 0n ? null : basisOf(name, number, isExact),
      bits: new Uint8Array(bytes.subarray(headBytes, headBytes + this.#bitmapBytes)),
    };
  }
}

const sha256 = (bytes: Buffer): Buffer =>
  createHash('sha256')
    .update(bytes.subarray(0, bytes.length - sumBytes))
    .digest();

function mapError(path: string, error: unknown, mayHold = false): unknown {
  const code = systemCode(error);
  if (code === undefined) return error;
  return new UnderstudyError('E_DISK_MAP', `the map of changes ${path} can't be written: ${code}`, {
    hint: 'See the room and the state of the file system of guest.stateFolder.',
    fields: { path, code, mayHold },
    cause: error,
  });
}
