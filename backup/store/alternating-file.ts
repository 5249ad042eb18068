import { closeSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type BlobReference, equal, sha256 } from './replica-state.ts';
import { corrupt, fileError } from './store-errors.ts';

/**
 * Bytes that change with an epoch (device state, baseline), in two files that take turns: what
 * the state in force refers to stays as it is while its successor is written. Which one counts
 * is for the state record alone to say.
 */
export class AlternatingFile {
  readonly #paths: readonly [string, string];
  readonly #descriptors: readonly [number, number];

  constructor(folder: string, name: string) {
    this.#paths = [join(folder, `${name}-0`), join(folder, `${name}-1`)];
    this.#descriptors = [openForUpdate(this.#paths[0]), openForUpdate(this.#paths[1])];
  }

  /** Writes `bytes` to the file that `inForce` does not name. Throws `E_TMPFS_FULL`. */
  write(bytes: Uint8Array, inForce: BlobReference | null): BlobReference {
    const file = inForce?.file === 0 ? 1 : 0;
    const descriptor = this.#descriptors[file];
    try {
      writeFully(descriptor, bytes, 0, bytes.length, 0);
      ftruncateSync(descriptor, bytes.length);
    } catch (error) {
      throw fileError(this.#paths[file], error);
    }
    return { file, bytes: bytes.length, sha256: sha256(bytes) };
  }

  /** Throws `E_REPLICA_CORRUPT` where the file is not what `reference` says. */
  read(reference: BlobReference): Uint8Array {
    const path = this.#paths[reference.file];
    const descriptor = this.#descriptors[reference.file];
    const found = fstatSync(descriptor).size;
    if (found !== reference.bytes) {
      throw corrupt(path, `${found} bytes long; expected ${reference.bytes}`);
    }
    const bytes = new Uint8Array(reference.bytes);
    if (readFully(descriptor, bytes, 0, bytes.length, 0) !== bytes.length) {
      throw corrupt(path, 'truncated');
    }
    if (!equal(sha256(bytes), reference.sha256)) throw corrupt(path, 'its checksum is wrong');
    return bytes;
  }

  close(): void {
    for (const descriptor of this.#descriptors) closeSync(descriptor);
  }
}

/** Opens for reading and writing at positions, creating but never truncating. */
export function openForUpdate(path: string): number {
  closeSync(openSync(path, 'a', 0o600));
  return openSync(path, 'r+');
}

/** write(2) may write less than asked for, as it does when a file system fills up. */
export function writeFully(
  descriptor: number,
  from: Uint8Array,
  offset: number,
  bytes: number,
  position: number,
): void {
  let done = 0;
  while (done < bytes) {
    done += writeSync(descriptor, from, offset + done, bytes - done, position + done);
  }
}

/** Returns how many bytes there were, up to `bytes`. */
export function readFully(
  descriptor: number,
  into: Uint8Array,
  offset: number,
  bytes: number,
  position: number,
): number {
  let done = 0;
  while (done < bytes) {
    const read = readSync(descriptor, into, offset + done, bytes - done, position + done);
    if (read === 0) break;
    done += read;
  }
  return done;
}
