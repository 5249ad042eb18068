import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ReplicaStore } from '../../../backup/store/replica-store.ts';
import type { KnownRam } from '../../../shared/codec/known-ram.ts';
import { pageBytes } from '../../../shared/ids.ts';
import type { WritableMemory } from '../../../shared/memory/guest-memory.ts';
import { ArrayMemory } from './array-memory.ts';

interface OpenOptions {
  readonly guest?: string;
  readonly known?: KnownRam;
}

/** A folder with a store in it, which can be closed and opened again over the same RAM. */
export class StoreCase<Memory extends WritableMemory = ArrayMemory> {
  readonly folder: string;
  readonly memory: Memory;
  readonly stagingBytesMax: number;
  #store: ReplicaStore | undefined;

  constructor(memory: Memory, stagingPages: number, folder = newFolder('/dev/shm')) {
    this.folder = folder;
    this.memory = memory;
    this.stagingBytesMax = stagingPages * pageBytes;
  }

  static array(pageCount: number, stagingPages: number): StoreCase {
    return new StoreCase(new ArrayMemory(pageCount), stagingPages);
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  /** Opens the store, after closing the one that was open. */
  async open({ guest = 'case', known }: OpenOptions = {}): Promise<ReplicaStore> {
    this.close();
    const { folder, memory, stagingBytesMax } = this;
    this.#store = await ReplicaStore.open({
      folder,
      guest: guest as never,
      memory,
      stagingBytesMax,
      known,
    });
    return this.#store;
  }

  close(): void {
    this.#store?.close();
    this.#store = undefined;
  }

  remove(): void {
    this.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export const newFolder = (root: string): string => mkdtempSync(join(root, 'understudy-store-'));
