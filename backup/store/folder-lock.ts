import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { tryLock } from '../../shared/native/libc.ts';
import { locked } from './store-errors.ts';

/**
 * Holds a folder for this process, by flock(2) on `folder/lock`. The lock belongs to the open
 * file, so it ends with its owner, however that ends, and no stale lock is ever left. Node opens
 * files close-on-exec: a QEMU that outlives the agent does not carry the lock on.
 */
export class FolderLock {
  readonly #descriptor: number;
  #held = true;

  private constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  /** Throws `E_REPLICA_LOCKED` where another process, or this one, holds it already. */
  static acquire(folder: string): FolderLock {
    const descriptor = openSync(join(folder, 'lock'), 'a', 0o600);
    try {
      if (!tryLock(descriptor)) throw locked(folder);
    } catch (error) {
      closeSync(descriptor);
      throw error;
    }
    return new FolderLock(descriptor);
  }

  release(): void {
    if (!this.#held) return;
    this.#held = false;
    closeSync(this.#descriptor);
  }
}
