import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fdatasync,
  fstatSync,
  openSync,
  read,
  readSync,
  writeSync,
} from 'node:fs';
import { systemCode, UnderstudyError } from '../errors.ts';
import {
  fileEnd,
  punchHole,
  readCached,
  seekData,
  seekHole,
  tryLock,
  zeroRange,
} from '../native/libc.ts';
import type { DiskExtent, NbdDisk } from '../nbd/nbd-disk.ts';

/**
 * A raw image, or a block device, of the host. Changes are made at once and in the order of the
 * calls, through the page cache, so there is one order for whoever logs them. Holes stay holes.
 */
export class DiskImage implements NbdDisk {
  readonly path: string;
  readonly sizeBytes: number;
  readonly writable: boolean;
  readonly #fd: number;
  /** The file system can say that data is not in memory; without that every read might wait. */
  #canReadCached = true;
  #canPunch = true;

  /**
   * Opens an image, and locks it for one writer unless `lock` is false: this process then has it
   * open and locked elsewhere. Throws `E_DISK_UNAVAILABLE` where it can't be opened as asked, and
   * `E_DISK_LOCKED` where another agent has it.
   */
  static open(path: string, writable: boolean, lock = writable): DiskImage {
    let fd: number;
    try {
      fd = openSync(path, writable ? constants.O_RDWR : constants.O_RDONLY);
    } catch (error) {
      throw unavailable(path, systemCode(error) ?? 'unknown', error);
    }
    try {
      if (lock && !tryLock(fd)) throw locked(path);
      const sizeBytes = fileEnd(fd);
      if (sizeBytes === 0) throw unavailable(path, 'it is empty');
      return new DiskImage(path, fd, sizeBytes, writable);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  private constructor(path: string, fd: number, sizeBytes: number, writable: boolean) {
    this.path = path;
    this.#fd = fd;
    this.sizeBytes = sizeBytes;
    this.writable = writable;
  }

  /**
   * Which file it is, also under another name. What can't be told from another one, as a block device
   * or a file of which it is not known when it was made, is another one each time.
   */
  get identity(): { readonly device: bigint; readonly inode: bigint; readonly bornNs: bigint } {
    const found = fstatSync(this.#fd, { bigint: true });
    const isTold = found.isFile() && found.birthtimeNs > 0n;
    const bornNs = isTold ? found.birthtimeNs : randomBytes(8).readBigUInt64LE();
    return { device: found.dev, inode: found.ino, bornNs };
  }

  readCached(offset: number, target: Uint8Array, address: bigint): boolean {
    if (!this.#canReadCached) return false;
    try {
      return readCached(this.#fd, address, target.length, offset) === target.length;
    } catch (error) {
      if (systemCode(error) !== 'EOPNOTSUPP') throw error;
      this.#canReadCached = false;
      return false;
    }
  }

  async read(offset: number, target: Uint8Array): Promise<void> {
    let done = 0;
    while (done < target.length) {
      const got = await new Promise<number>((resolve, reject) =>
        read(this.#fd, target, done, target.length - done, offset + done, (error, bytes) =>
          error === null ? resolve(bytes) : reject(error),
        ),
      );
      if (got === 0) throw cutShort(this.path);
      done += got;
    }
  }

  /** As `read`, and waits for it: for whoever may hold up everybody else. */
  readNow(offset: number, target: Uint8Array): void {
    let done = 0;
    while (done < target.length) {
      const got = readSync(this.#fd, target, done, target.length - done, offset + done);
      if (got === 0) throw cutShort(this.path);
      done += got;
    }
  }

  write(offset: number, source: Uint8Array): void {
    let done = 0;
    while (done < source.length) {
      done += writeSync(this.#fd, source, done, source.length - done, offset + done);
    }
  }

  zero(offset: number, length: number, mayPunch: boolean): void {
    if (length === 0) return;
    if (this.#canPunch) {
      try {
        if (mayPunch) punchHole(this.#fd, offset, length);
        else zeroRange(this.#fd, offset, length);
        return;
      } catch (error) {
        if (!cannot.has(systemCode(error) ?? '')) throw error;
        this.#canPunch = false;
      }
    }
    for (let done = 0; done < length; done += zeros.length) {
      this.write(offset + done, zeros.subarray(0, Math.min(zeros.length, length - done)));
    }
  }

  /** What is trimmed reads as zeros afterwards, so that two hosts have the same. */
  trim(offset: number, length: number): void {
    this.zero(offset, length, true);
  }

  flush(): Promise<void> {
    return new Promise((resolve, reject) =>
      fdatasync(this.#fd, (error) => (error === null ? resolve() : reject(error))),
    );
  }

  extents(offset: number, length: number, countMax: number): DiskExtent[] {
    const found: DiskExtent[] = [];
    const end = offset + length;
    let at = offset;
    while (at < end && found.length < countMax) {
      const data = Math.min(end, this.nextData(at) ?? end);
      const isHole = data > at;
      const next = isHole ? data : Math.min(end, this.#nextHole(at));
      found.push({ bytes: next - at, isHole });
      at = next;
    }
    return found;
  }

  /** The first byte not below `offset` that is no hole; undefined where there is none. */
  nextData(offset: number): number | undefined {
    try {
      return seekData(this.#fd, offset);
    } catch (error) {
      if (!cannot.has(systemCode(error) ?? '')) throw error;
      return offset;
    }
  }

  close(): void {
    closeSync(this.#fd);
  }

  #nextHole(offset: number): number {
    try {
      return seekHole(this.#fd, offset);
    } catch (error) {
      if (!cannot.has(systemCode(error) ?? '')) throw error;
      return this.sizeBytes;
    }
  }
}

const zeros = new Uint8Array(2 ** 20);
/** What systems say that have no holes here. */
const cannot = new Set(['EOPNOTSUPP', 'ENOTSUP', 'ENOSYS', 'EINVAL', 'ENODEV']);

/** A file that became shorter than the disk it is: as a disk with a hole in its plates. */
function cutShort(path: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${path} is shorter than it was`), { code: 'EIO' });
}

function unavailable(path: string, why: string, cause?: unknown): UnderstudyError {
  return new UnderstudyError('E_DISK_UNAVAILABLE', `disk ${path} can't be used: ${why}`, {
    hint: 'Make the image (truncate -s SIZE FILE), or mend its path or permissions.',
    fields: { path, why },
    cause,
  });
}

function locked(path: string): UnderstudyError {
  return new UnderstudyError('E_DISK_LOCKED', `disk ${path} is in use by another agent`, {
    hint: 'Stop that one, or give this guest an image of its own.',
    fields: { path },
  });
}
