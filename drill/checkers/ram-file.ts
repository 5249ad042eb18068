import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

export interface RamFile {
  readonly path: string;
  /** What the guest has touched so far: the rest of the file takes no memory. */
  readonly allocatedBytes: number;
}

/** The guest's RAM: the one file of its size below `folder`; undefined if there is none. */
export async function findRamFile(
  folder: string,
  memoryBytes: number,
): Promise<RamFile | undefined> {
  for (const name of await readdir(folder, { recursive: true })) {
    const path = join(folder, name);
    const found = await stat(path);
    if (found.isFile() && found.size === memoryBytes) {
      return { path, allocatedBytes: found.blocks * 512 };
    }
  }
  return undefined;
}
