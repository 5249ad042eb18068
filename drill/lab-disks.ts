import { execFile } from 'node:child_process';
import { mkdir, stat, truncate, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import type { LabConfig } from '../shared/config/schema.ts';
import { UnderstudyError } from '../shared/errors.ts';
import { diskPath, type SideFolders } from './lab-config.ts';
import { requireTools, runTool } from './tools.ts';

/**
 * Makes the images of replicated disks. Each host has its own below the run's folder: the one that
 * starts a new file system, or a copy of the operator's image; the other one holes of the same
 * size, which the first synchronisation fills. Throws `E_DRILL_DISKS`, `E_DRILL_TOOL`.
 */
export async function makeDisks(
  { guest, drill }: LabConfig,
  ours: SideFolders,
  theirs: SideFolders,
): Promise<void> {
  for (const [index, disk] of guest.disks.entries()) {
    if (!disk.replicate) continue;
    const path = diskPath(ours, index);
    await mkdir(dirname(path), { recursive: true });
    if (drill.dataDisk === null) await copyImage(disk.path, path);
    else await makeFileSystem(path, drill.dataDisk);
    const { size } = await stat(path);
    const other = diskPath(theirs, index);
    await mkdir(dirname(other), { recursive: true });
    await makeHoles(other, size);
  }
}

/** A copy in which holes stay holes. Throws `E_DRILL_DISKS`. */
export async function copyImage(from: string, to: string): Promise<void> {
  try {
    await promisify(execFile)('cp', ['--sparse=always', '--reflink=auto', '--', from, to]);
  } catch (error) {
    throw noDisk(from, (error as { stderr?: string }).stderr?.trim() || String(error), error);
  }
}

async function makeFileSystem(path: string, sizeBytes: number): Promise<void> {
  requireTools();
  await makeHoles(path, sizeBytes);
  // Nothing is left for the guest's kernel to do behind the drill's back.
  const now = ['-E', 'lazy_itable_init=0,lazy_journal_init=0'];
  const { status, said } = await runTool('mkfs.ext4', ['-q', '-F', ...now, path]);
  if (status !== 0) throw noDisk(path, said);
}

async function makeHoles(path: string, sizeBytes: number): Promise<void> {
  await writeFile(path, '', { mode: 0o600 });
  await truncate(path, sizeBytes);
}

function noDisk(path: string, why: string, cause?: unknown): UnderstudyError {
  return new UnderstudyError('E_DRILL_DISKS', `no disk for the drill of ${path}: ${why}`, {
    hint: 'Images are copied to the temporary folder (TMPDIR): it needs room for them.',
    fields: { path },
    cause,
  });
}
