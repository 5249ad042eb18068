import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  rmSync,
  statfsSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { systemCode, UnderstudyError } from '../errors.ts';
import { pageBytes } from '../ids.ts';
import { type Mapping, mapFile, seekData, seekHole } from '../native/libc.ts';
import type { WritableMemory } from './guest-memory.ts';

/**
 * Guest RAM in a file on tmpfs, as QEMU maps it.
 *
 * - Scattered reads go through a map, made of segments of 1 GiB: a typed array ends at 4 GiB - 1.
 *   It is made at the first such read, so an agent that only writes never maps the file.
 * - Range reads use `pread`, which leaves holes unallocated; a read through the map fills them.
 * - Writes use `pwrite`: where tmpfs is full that is an error with a name, while a write through
 *   a map would be a SIGBUS that ends the agent, and allocating the file ahead would spend
 *   memory on every page that is zero (half of a fresh guest's).
 */
export class RamFile implements WritableMemory {
  readonly path: string;
  readonly memoryBytes: number;
  readonly pageCount: number;
  readonly #fd: number;
  #segments: Mapping[] | undefined;
  #closed = false;

  private constructor(path: string, memoryBytes: number, fd: number) {
    this.path = path;
    this.memoryBytes = memoryBytes;
    this.pageCount = memoryBytes / pageBytes;
    this.#fd = fd;
  }

  /**
   * Makes a new file of zeros, in place of one that may be there: nobody may have it mapped.
   * Throws `E_TMPFS_FULL` where tmpfs could not hold all of it, `E_MEMORY_FILE` otherwise.
   */
  static create(path: string, memoryBytes: number): RamFile {
    checkSize(path, memoryBytes);
    checkRoom(path, memoryBytes);
    const fd = openChecked(path, () => {
      rmSync(path, { force: true });
      return openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600);
    });
    ftruncateSync(fd, memoryBytes);
    return new RamFile(path, memoryBytes, fd);
  }

  /** Opens what `create` made. Throws `E_MEMORY_SIZE` where it has another size. */
  static open(path: string, memoryBytes: number): RamFile {
    checkSize(path, memoryBytes);
    const fd = openChecked(path, () => openSync(path, constants.O_RDWR));
    try {
      const found = fstatSync(fd);
      if (!found.isFile()) throw notRam(path, 'is not a regular file');
      checkFileSystem(path);
      if (found.size !== memoryBytes) throw wrongSize(path, memoryBytes, found.size);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    return new RamFile(path, memoryBytes, fd);
  }

  copyPages(pages: Uint32Array, count: number, into: Uint8Array, offset: number): void {
    const segments = this.#map();
    let i = 0;
    let at = offset;
    while (i < count) {
      const first = pages[i]!;
      if (first >= this.pageCount) throw new RangeError(`page ${first} is outside RAM`);
      const end = this.#runEnd(pages, i, count, segmentEnd(first));
      const bytes = (end - i) * pageBytes;
      const from = (first % segmentPages) * pageBytes;
      const segment = segments[Math.floor(first / segmentPages)]!.bytes;
      into.set(segment.subarray(from, from + bytes), at);
      at += bytes;
      i = end;
    }
  }

  readRange(first: number, count: number, into: Uint8Array, offset: number): void {
    this.#checkRange(first, count);
    const bytes = count * pageBytes;
    for (let done = 0; done < bytes; ) {
      const position = first * pageBytes + done;
      const read = readSync(this.#fd, into, offset + done, bytes - done, position);
      if (read === 0) throw new Error(`${this.path} was cut to ${position} bytes`);
      done += read;
    }
  }

  /**
   * The first page not below `page` that is allocated. Unlike `nextData` it does not look for the end of
   * the run, for which the system walks all of its pages.
   */
  firstData(page: number): number | undefined {
    if (page >= this.pageCount) return undefined;
    const data = seekData(this.#fd, page * pageBytes);
    return data === undefined ? undefined : Math.floor(data / pageBytes);
  }

  nextData(page: number): { readonly first: number; readonly end: number } | undefined {
    if (page >= this.pageCount) return undefined;
    const data = seekData(this.#fd, page * pageBytes);
    if (data === undefined) return undefined;
    const hole = seekHole(this.#fd, data);
    return { first: Math.floor(data / pageBytes), end: Math.ceil(hole / pageBytes) };
  }

  /** Throws `E_TMPFS_FULL`; the pages before the one that found no room are then written. */
  writePages(pages: Uint32Array, count: number, from: Uint8Array, offset: number): void {
    let i = 0;
    let at = offset;
    while (i < count) {
      const first = pages[i]!;
      const end = this.#runEnd(pages, i, count, this.pageCount);
      this.#checkRange(first, end - i);
      this.#write(from, at, (end - i) * pageBytes, first * pageBytes);
      at += (end - i) * pageBytes;
      i = end;
    }
  }

  /** Pages that take up memory now. */
  allocatedPages(): number {
    return (fstatSync(this.#fd).blocks * 512) / pageBytes;
  }

  /** Ends this process's use of the file; the file and whoever else maps it go on. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const segment of this.#segments ?? []) segment.unmap();
    this.#segments = [];
    closeSync(this.#fd);
  }

  /** Closes and deletes the file. */
  remove(): void {
    this.close();
    rmSync(this.path, { force: true });
  }

  /** Index in `pages` behind the run of neighbouring pages that starts at index `i`. */
  #runEnd(pages: Uint32Array, i: number, count: number, pageEnd: number): number {
    const distance = pages[i]! - i;
    const limit = Math.min(count, pageEnd - distance);
    let end = i + 1;
    while (end < limit && pages[end]! === end + distance) end += 1;
    return end;
  }

  #write(from: Uint8Array, offset: number, bytes: number, position: number): void {
    try {
      for (let done = 0; done < bytes; ) {
        done += writeSync(this.#fd, from, offset + done, bytes - done, position + done);
      }
    } catch (error) {
      if (systemCode(error) === 'ENOSPC') throw noRoom(this.path, bytes, 0, error);
      throw error;
    }
  }

  #map(): readonly Mapping[] {
    if (this.#closed) throw new Error(`${this.path} is closed`);
    if (this.#segments !== undefined) return this.#segments;
    const segments: Mapping[] = [];
    for (let at = 0; at < this.memoryBytes; at += segmentBytes) {
      const size = Math.min(segmentBytes, this.memoryBytes - at);
      segments.push(mapFile(this.#fd, at, size, false));
    }
    this.#segments = segments;
    return segments;
  }

  #checkRange(first: number, count: number): void {
    if (first < 0 || count < 0 || first + count > this.pageCount) {
      throw new RangeError(`pages ${first} to ${first + count} are outside RAM`);
    }
  }
}

const segmentBytes = 2 ** 30;
const segmentPages = segmentBytes / pageBytes;
const tmpfsMagic = 0x0102_1994;

const segmentEnd = (page: number): number => (Math.floor(page / segmentPages) + 1) * segmentPages;

function checkSize(path: string, memoryBytes: number): void {
  if (Number.isSafeInteger(memoryBytes) && memoryBytes > 0 && memoryBytes % pageBytes === 0) return;
  throw new UnderstudyError('E_MEMORY_SIZE', `guest memory can't be ${memoryBytes} bytes`, {
    hint: `Give a whole number of ${pageBytes}-byte pages, for example 512 MiB.`,
    fields: { path, memoryBytes },
  });
}

function checkFileSystem(path: string): void {
  if (statfsSync(path).type === tmpfsMagic) return;
  throw notRam(path, 'is not on a tmpfs');
}

function checkRoom(path: string, memoryBytes: number): void {
  const folder = dirname(path);
  const found = openChecked(path, () => statfsSync(folder));
  checkFileSystem(folder);
  const free = found.bavail * found.bsize;
  if (free < memoryBytes) throw noRoom(path, memoryBytes, free, undefined);
}

function openChecked<T>(path: string, open: () => T): T {
  try {
    return open();
  } catch (error) {
    const code = systemCode(error);
    if (code === undefined) throw error;
    throw new UnderstudyError('E_MEMORY_FILE', `${path} can't be opened: ${code}`, {
      hint:
        code === 'ENOENT'
          ? 'Create the folder on a tmpfs, or name another one as memoryFolder.'
          : 'Run as a user that may read and write this file and its folder.',
      fields: { path, cause: code },
      cause: error,
    });
  }
}

function notRam(path: string, what: string): UnderstudyError {
  return new UnderstudyError('E_MEMORY_FILE', `${path} ${what}, so it can't hold guest memory`, {
    hint: 'Name a folder on a tmpfs as memoryFolder, for example one below /dev/shm.',
    fields: { path },
  });
}

function wrongSize(path: string, expected: number, found: number): UnderstudyError {
  return new UnderstudyError(
    'E_MEMORY_SIZE',
    `${path} has ${found} bytes, the guest's memory has ${expected}`,
    {
      hint: 'Give both sides the same memory size, or remove the file if no guest uses it.',
      fields: { path, expectedBytes: expected, foundBytes: found },
    },
  );
}

function noRoom(path: string, needed: number, free: number, cause: unknown): UnderstudyError {
  const folder = dirname(path);
  return new UnderstudyError(
    'E_TMPFS_FULL',
    `no room for guest memory in ${folder}: ${needed} bytes needed, ${free} free`,
    {
      hint: `Free memory there or enlarge it: mount -o remount,size=SIZE MOUNTPOINT (see df ${folder}).`,
      fields: { path, neededBytes: needed, freeBytes: free },
      cause,
    },
  );
}
