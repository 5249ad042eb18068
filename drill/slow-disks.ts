import { closeSync, openSync, readSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { SideFolders } from './lab-config.ts';
import type { HostName } from './network/lab-network.ts';

const shimPath = fileURLToPath(new URL('../native/slow-disk.so', import.meta.url));
const controlBytes = 32;

/** What each call takes more. */
export interface Slowness {
  readonly writeMs: number;
  readonly syncMs: number;
}

/** How many calls took longer, since the agents were started. */
export interface SlowCalls {
  readonly writes: number;
  readonly syncs: number;
}

/** Makes the disks of a host slow, by a preloaded library: `native/slow-disk.c`. */
export class SlowDisks {
  readonly #folder: string;

  /** One file a host in `folder`. */
  constructor(folder: string) {
    this.#folder = folder;
    for (const host of ['a', 'b'] as const) {
      writeFileSync(this.#path(host), Buffer.alloc(controlBytes));
    }
  }

  /** To be put before an agent's command: images, journals and maps of its host are meant. */
  preload(host: HostName, { diskFolder, stateFolder }: SideFolders): string[] {
    const folders = `UNDERSTUDY_SLOW_FOLDERS=${diskFolder}:${stateFolder}`;
    const control = `UNDERSTUDY_SLOW_SWITCH=${this.#path(host)}`;
    return ['env', `LD_PRELOAD=${shimPath}`, folders, control];
  }

  set(host: HostName, { writeMs, syncMs }: Slowness): void {
    const numbers = new BigUint64Array([writeMs, syncMs].map((ms) => BigInt(ms * 1000)));
    const descriptor = openSync(this.#path(host), 'r+');
    writeSync(descriptor, new Uint8Array(numbers.buffer), 0, numbers.byteLength, 0);
    closeSync(descriptor);
  }

  calls(host: HostName): SlowCalls {
    const numbers = new BigUint64Array(controlBytes / 8);
    const descriptor = openSync(this.#path(host), 'r');
    readSync(descriptor, new Uint8Array(numbers.buffer), 0, controlBytes, 0);
    closeSync(descriptor);
    return { writes: Number(numbers[2]), syncs: Number(numbers[3]) };
  }

  #path(host: HostName): string {
    return join(this.#folder, `slow-disk-${host}`);
  }
}
