import koffi from 'koffi';

/**
 * The few system calls that Node lacks. The only file that imports koffi. A call that fails throws
 * a `SystemCallError`, whose `code` is the system's (`ENOSPC`, …), as Node's own errors do.
 */
export class SystemCallError extends Error {
  readonly code: string;
  readonly syscall: string;
  readonly errno: number;

  constructor(syscall: string, errno: number) {
    const code = errorNames.get(errno) ?? `errno ${errno}`;
    super(`${syscall}: ${code}`);
    this.name = 'SystemCallError';
    this.code = code;
    this.syscall = syscall;
    this.errno = errno;
  }
}

/** Memory outside the JavaScript heap. Touching `bytes` after `unmap` ends the process. */
export interface Mapping {
  readonly address: bigint;
  readonly bytes: Uint8Array;
  unmap(): void;
}

/** Maps `size` bytes of an open file from `offset` (a multiple of 4096), shared. */
export function mapFile(fd: number, offset: number, size: number, writable: boolean): Mapping {
  return map(writable ? protRead | protWrite : protRead, mapShared, fd, offset, size);
}

/** Zeroed memory with an address that stays: for structures that the kernel fills. */
export function mapAnonymous(size: number, sharing: 'private' | 'shared' = 'private'): Mapping {
  const flags = mapAnonymousFlag | (sharing === 'shared' ? mapShared : mapPrivate);
  return map(protRead | protWrite, flags, -1, 0, size);
}

/** ioctl with a pointer argument. Returns the call's result, which is not negative. */
export function ioctl(fd: number, request: number, argumentAddress: bigint): number {
  return check('ioctl', calls().ioctl(fd, request, argumentAddress));
}

/** Offset of the first data not below `offset`, or undefined where only a hole is left. */
export function seekData(fd: number, offset: number): number | undefined {
  const found = calls().lseek(fd, offset, seekDataWhence);
  if (found >= 0) return Number(found);
  if (koffi.errno() === koffi.os.errno.ENXIO) return undefined;
  throw new SystemCallError('lseek', koffi.errno());
}

/** Offset of the first hole not below `offset`; the end of the file counts as one. */
export function seekHole(fd: number, offset: number): number {
  return Number(check('lseek', calls().lseek(fd, offset, seekHoleWhence)));
}

/** Allocates room in a file so that later writes through a map can't fail. */
export function allocate(fd: number, offset: number, size: number): void {
  check('fallocate', calls().fallocate(fd, 0, offset, size));
}

/** Gives whole pages of a file back to the system: they read as zeros and use no memory. */
export function punchHole(fd: number, offset: number, size: number): void {
  check('fallocate', calls().fallocate(fd, punchHoleKeepSize, offset, size));
}

/** Makes a range of a file read as zeros without giving its room back. */
export function zeroRange(fd: number, offset: number, size: number): void {
  check('fallocate', calls().fallocate(fd, zeroRangeKeepSize, offset, size));
}

/** Size in bytes of an open file or block device. Moves the file's position. */
export function fileEnd(fd: number): number {
  return Number(check('lseek', calls().lseek(fd, 0, seekEndWhence)));
}

/**
 * Reads into memory at `address` what is in the page cache, without waiting for a disk. Returns
 * the bytes read, which may be fewer; undefined where nothing is at hand. Throws `EOPNOTSUPP` on
 * file systems that can't say.
 */
export function readCached(
  fd: number,
  address: bigint,
  size: number,
  offset: number,
): number | undefined {
  ioVector[0] = address;
  ioVector[1] = BigInt(size);
  const result = Number(calls().preadv2(fd, ioVectorBytes, 1, offset, readNoWait));
  if (result >= 0) return result;
  if (koffi.errno() === koffi.os.errno.EAGAIN) return undefined;
  throw new SystemCallError('preadv2', koffi.errno());
}

/**
 * Takes an exclusive flock without waiting; false where another process holds it. The lock ends
 * with the descriptor, so it never outlives the process.
 */
export function tryLock(fd: number): boolean {
  if (calls().flock(fd, lockExclusive | lockNonBlocking) === 0) return true;
  if (koffi.errno() === koffi.os.errno.EWOULDBLOCK) return false;
  throw new SystemCallError('flock', koffi.errno());
}

/** Waits until one of `fds` can be read or fails, or `timeoutMs` passed (-1: never does). */
export function pollReadable(fds: readonly number[], timeoutMs: number): PollResult[] {
  const list = Buffer.alloc(fds.length * pollEntryBytes);
  for (const [index, fd] of fds.entries()) {
    list.writeInt32LE(fd, index * pollEntryBytes);
    list.writeInt16LE(pollIn, index * pollEntryBytes + 4);
  }
  const result = calls().poll(list, fds.length, timeoutMs);
  // A signal for another thread may end it early: nothing is readable then.
  if (result < 0 && koffi.errno() !== koffi.os.errno.EINTR) check('poll', result);
  return fds.map((_, index) => {
    const found = result < 0 ? 0 : list.readInt16LE(index * pollEntryBytes + 6);
    return { isReadable: (found & pollIn) !== 0, hasFailed: (found & pollFailed) !== 0 };
  });
}

export interface PollResult {
  readonly isReadable: boolean;
  /** Hung up, or gone: reading says why. */
  readonly hasFailed: boolean;
}

/** Bytes read into memory at `address`; undefined where a non-blocking file has none. */
export function readInto(fd: number, address: bigint, size: number): number | undefined {
  const result = Number(calls().read(fd, address, size));
  if (result >= 0) return result;
  if (koffi.errno() === koffi.os.errno.EAGAIN) return undefined;
  throw new SystemCallError('read', koffi.errno());
}

/** A counter that wakes `pollReadable` when 8 bytes with a number in them are written to it. */
export function createWaker(): number {
  return check('eventfd', calls().eventfd(0, eventCloseOnExec | eventNonBlocking));
}

/** A datagram socket to nobody: what ioctls about network interfaces are made on. */
export function openInterfaceSocket(): number {
  return check('socket', calls().socket(familyIpv4, datagram | socketCloseOnExec, 0));
}

/** So much of a core in each period, counted from when the thread wakes. */
export interface CoreShare {
  readonly runtimeMs: number;
  readonly periodMs: number;
}

/**
 * The calling thread runs before every ordinary and every real-time one from now on (SCHED_DEADLINE),
 * but never for longer than its share, whatever session or group it is in, which niceness does not do
 * where sessions are grouped (`kernel.sched_autogroup_enabled`). Threads and processes that it makes
 * are ordinary ones. Throws `EPERM` without the right to or for a thread that is pinned to some of the
 * cores, `EBUSY` where all that can be promised is, `ENOSYS` on other processors than the two known.
 */
export function runAhead({ runtimeMs, periodMs }: CoreShare): void {
  const number = setAttributesCalls[process.arch];
  if (number === undefined) throw new SystemCallError('sched_setattr', koffi.os.errno.ENOSYS!);
  // struct sched_attr of Linux 3.14 (sched/types.h): 48 bytes.
  const attributes = new DataView(new ArrayBuffer(48));
  attributes.setUint32(0, attributes.byteLength, true);
  attributes.setUint32(4, deadlinePolicy, true);
  attributes.setBigUint64(8, resetOnFork, true);
  attributes.setBigUint64(24, nanoseconds(runtimeMs), true);
  attributes.setBigUint64(32, nanoseconds(periodMs), true);
  attributes.setBigUint64(40, nanoseconds(periodMs), true);
  const bytes = new Uint8Array(attributes.buffer);
  check('sched_setattr', calls().sched_setattr(number, 0, bytes, 0));
}

const nanoseconds = (ms: number): bigint => BigInt(Math.round(ms * 1e6));

/** glibc has no function for it before 2.41. */
const setAttributesCalls: Partial<Record<NodeJS.Architecture, number>> = { x64: 314, arm64: 274 };
const deadlinePolicy = 6;
const resetOnFork = 1n;
const pollEntryBytes = 8;
const pollIn = 1;
/** POLLERR, POLLHUP, POLLNVAL. */
const pollFailed = 0x8 | 0x10 | 0x20;
const eventCloseOnExec = 0o2000000;
const eventNonBlocking = 0o4000;
const familyIpv4 = 2;
const datagram = 2;
const socketCloseOnExec = 0o2000000;
const protRead = 1;
const protWrite = 2;
const mapShared = 1;
const mapPrivate = 2;
const mapAnonymousFlag = 0x20;
const seekDataWhence = 3;
const seekHoleWhence = 4;
const seekEndWhence = 2;
const punchHoleKeepSize = 3;
const zeroRangeKeepSize = 0x11;
/** RWF_NOWAIT */
const readNoWait = 8;
/** struct iovec: address, length. */
const ioVector = new BigUint64Array(2);
const ioVectorBytes = new Uint8Array(ioVector.buffer);
const lockExclusive = 2;
const lockNonBlocking = 4;
/** What mmap returns on failure: (void *)-1. */
const mapFailed = 0xffff_ffff_ffff_ffffn;

const errorNames = new Map(Object.entries(koffi.os.errno).map(([name, value]) => [value, name]));

function map(protection: number, flags: number, fd: number, offset: number, size: number): Mapping {
  if (size <= 0) throw new RangeError(`a mapping of ${size} bytes`);
  const address = calls().mmap(null, size, protection, flags, fd, offset);
  if (address === null || BigInt.asUintN(64, address) === mapFailed) {
    throw new SystemCallError('mmap', koffi.errno());
  }
  let mapped = true;
  return {
    address,
    bytes: new Uint8Array(koffi.view(address, size)),
    unmap: () => {
      if (!mapped) return;
      mapped = false;
      check('munmap', calls().munmap(address, size));
    },
  };
}

function check<T extends number | bigint>(syscall: string, result: T): T {
  if (result < 0) throw new SystemCallError(syscall, koffi.errno());
  return result;
}

interface Calls {
  mmap(
    address: null,
    size: number,
    protection: number,
    flags: number,
    fd: number,
    offset: number,
  ): bigint | null;
  munmap(address: bigint, size: number): number;
  ioctl(fd: number, request: number, argument: bigint): number;
  lseek(fd: number, offset: number, whence: number): number | bigint;
  fallocate(fd: number, mode: number, offset: number, size: number): number;
  flock(fd: number, operation: number): number;
  poll(list: Uint8Array, count: number, timeoutMs: number): number;
  read(fd: number, address: bigint, size: number): number | bigint;
  preadv2(fd: number, vector: Uint8Array, count: number, offset: number, flags: number): number;
  eventfd(initial: number, flags: number): number;
  socket(family: number, type: number, protocol: number): number;
  sched_setattr(call: number, thread: number, attributes: Uint8Array, flags: number): number;
}

let loaded: Calls | undefined;

/** The C library, loaded at the first call so that importing this file costs nothing. */
function calls(): Calls {
  if (loaded !== undefined) return loaded;
  const library = koffi.load('libc.so.6');
  const functions = {
    mmap: library.func('void *mmap(void *, size_t, int, int, int, int64_t)'),
    munmap: library.func('int munmap(void *, size_t)'),
    ioctl: library.func('int ioctl(int, unsigned long, void *)'),
    lseek: library.func('int64_t lseek(int, int64_t, int)'),
    fallocate: library.func('int fallocate(int, int, int64_t, int64_t)'),
    flock: library.func('int flock(int, int)'),
    poll: library.func('int poll(void *, unsigned long, int)'),
    read: library.func('int64_t read(int, void *, size_t)'),
    preadv2: library.func('int64_t preadv2(int, void *, int, int64_t, int)'),
    eventfd: library.func('int eventfd(unsigned int, int)'),
    socket: library.func('int socket(int, int, int)'),
    sched_setattr: library.func('long syscall(long, long, void *, long)'),
  };
  loaded = functions as unknown as Calls;
  return loaded;
}
