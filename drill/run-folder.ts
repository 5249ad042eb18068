import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { systemCode, UnderstudyError } from '../shared/errors.ts';
import { endRunProcesses } from './run-processes.ts';

const prefix = 'understudy-drill-';
const ownerFile = 'owner.json';

/** Where one drill keeps all that it makes. */
export interface RunFolder {
  /** Logs, events, sockets, configuration files. */
  readonly path: string;
  /** On tmpfs: the guests' RAM. */
  readonly memoryPath: string;
  /** In the arguments of every process of the run, and of no other. */
  readonly mark: string;
}

/** `memoryBase` is the folder on tmpfs that the configuration names. Throws `E_DRILL_FOLDER`. */
export async function makeRunFolder(memoryBase: string): Promise<RunFolder> {
  try {
    const path = await mkdtemp(join(tmpdir(), prefix));
    const mark = basename(path);
    const memoryPath = join(memoryBase, mark);
    await writeFile(join(path, ownerFile), JSON.stringify({ pid: process.pid, memoryPath }));
    for (const side of ['primary', 'backup']) {
      await mkdir(join(memoryPath, side), { recursive: true });
      await mkdir(join(path, side));
    }
    return { path, memoryPath, mark };
  } catch (error) {
    throw new UnderstudyError('E_DRILL_FOLDER', `no folder for the drill: ${error}`, {
      hint: `It needs ${tmpdir()} and ${memoryBase}, writable.`,
      fields: { memoryBase, systemCode: systemCode(error) ?? null },
      cause: error,
    });
  }
}

/** Removes what the run made; with `keepLogs`, all but the guests' RAM. */
export async function removeRunFolder(folder: RunFolder, keepLogs: boolean): Promise<void> {
  await rm(folder.memoryPath, { recursive: true, force: true });
  const path = keepLogs ? join(folder.path, ownerFile) : folder.path;
  await rm(path, { recursive: true, force: true });
}

/**
 * Clears away what a drill left behind that was itself killed: processes, RAM and folder.
 * Returns the names of those runs.
 */
export async function sweepDeadRuns(): Promise<string[]> {
  const swept: string[] = [];
  for (const mark of await readdir(tmpdir())) {
    if (!mark.startsWith(prefix)) continue;
    const path = join(tmpdir(), mark);
    const owner = await readOwner(path);
    if (owner === undefined || existsSync(`/proc/${owner.pid}`)) continue;
    await endRunProcesses(mark, 4_000);
    await removeRunFolder({ path, mark, memoryPath: owner.memoryPath }, false);
    swept.push(mark);
  }
  return swept;
}

/** Undefined where the folder was kept on purpose, or is not ours to read. */
async function readOwner(path: string) {
  try {
    const owner: unknown = JSON.parse(await readFile(join(path, ownerFile), 'utf8'));
    const { pid, memoryPath } = owner as { pid: number; memoryPath: string };
    // Nothing is removed on the word of a file that names something else.
    return Number.isInteger(pid) && basename(memoryPath) === basename(path)
      ? { pid, memoryPath }
      : undefined;
  } catch {
    return undefined;
  }
}
