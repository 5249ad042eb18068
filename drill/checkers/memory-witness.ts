import { type FileHandle, open } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { readCommand } from '../run-processes.ts';
import { findRamFile } from './ram-file.ts';
import type { Testimony, Witness } from './witness.ts';

const chunkBytes = 1 << 22;

export interface MemoryWitnessOptions {
  readonly backupMemoryFolder: string;
  readonly memoryBytes: number;
  readonly watchMs: number;
  /** Process of the guest's QEMU at the moment, 0 if there is none. */
  readonly guestPid: () => number;
  readonly signal: AbortSignal;
}

/**
 * For a guest of which nothing is known: it runs if it writes to its memory. That it goes on
 * from the checkpoint is then shown by the digest of its RAM alone.
 */
export class MemoryWitness implements Witness {
  readonly #options: MemoryWitnessOptions;

  constructor(options: MemoryWitnessOptions) {
    this.#options = options;
  }

  async begin(): Promise<void> {}
  async beforeFault(): Promise<void> {}
  async end(): Promise<void> {}

  async acknowledged(): Promise<null> {
    return null;
  }

  async examine(): Promise<Testimony> {
    const { watchMs, signal, guestPid, backupMemoryFolder, memoryBytes } = this.#options;
    const file = (await findRamFile(backupMemoryFolder, memoryBytes))?.path;
    const before = file === undefined ? undefined : await checksum(file);
    await sleep(watchMs, undefined, { signal });
    const after = file === undefined ? undefined : await checksum(file);
    const isAlive = guestPid() > 0 && readCommand(guestPid()) !== undefined;
    const writes = before !== undefined && before !== after;
    return {
      checks: [
        {
          name: 'guest-runs',
          ok: isAlive && writes,
          detail: !isAlive
            ? "the guest's QEMU is gone"
            : `its RAM ${writes ? 'changed' : 'did not change'} within ${watchMs} ms`,
        },
      ],
      guestContinued: isAlive && writes,
      dataLost: null,
      unprotectedWrites: null,
      servedAtMs: null,
      client: null,
    };
  }
}

async function checksum(path: string): Promise<number> {
  const file: FileHandle = await open(path, 'r');
  try {
    const chunk = Buffer.alloc(chunkBytes);
    let sum = 0;
    for (;;) {
      const { bytesRead } = await file.read(chunk, 0, chunkBytes, null);
      if (bytesRead === 0) return sum;
      sum = crc32(chunk.subarray(0, bytesRead), sum);
    }
  } finally {
    await file.close();
  }
}
