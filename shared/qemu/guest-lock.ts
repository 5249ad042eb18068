import { closeSync, constants, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { UnderstudyError } from '../errors.ts';
import { tryLock } from '../native/libc.ts';

/**
 * At most one agent deals with a guest on a host. The lock ends with the process that holds it,
 * however that ends; QEMU does not inherit it, so a guest without an agent can be adopted.
 */
export class GuestLock {
  #fd: number | undefined;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** Throws `E_GUEST_LOCKED` where another agent holds it. */
  static acquire(path: string): GuestLock {
    // Node opens every file with O_CLOEXEC.
    const fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
    if (!tryLock(fd)) {
      const holder = readHolder(fd);
      closeSync(fd);
      throw new UnderstudyError('E_GUEST_LOCKED', `another agent (pid ${holder}) has this guest`, {
        hint: 'Let that agent do it, or stop it first; two agents may not share a run folder.',
        fields: { path, holder },
      });
    }
    ftruncateSync(fd);
    writeSync(fd, `${process.pid}\n`, 0);
    return new GuestLock(fd);
  }

  release(): void {
    if (this.#fd === undefined) return;
    // The file stays: deleting it would let two agents lock two files of one name.
    closeSync(this.#fd);
    this.#fd = undefined;
  }
}

function readHolder(fd: number): string {
  const bytes = Buffer.alloc(32);
  return bytes.toString('utf8', 0, readSync(fd, bytes, 0, 32, 0)).trim() || 'unknown';
}
