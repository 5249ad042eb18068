import { existsSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemCode, UnderstudyError } from '../../shared/errors.ts';

const waitMsMax = 600_000;
const pollMs = 250;

/**
 * Runs `work` while holding the lock file `path`, so that two builders do not do the same work
 * twice. The image is right without it, because it is renamed into place whole: a lock whose
 * owner died is simply taken over. Throws `E_GUEST_BUILD_BUSY` after ten minutes.
 */
export async function withBuildLock<T>(
  path: string,
  onProgress: (step: string) => void,
  work: () => Promise<T>,
): Promise<T> {
  await take(path, onProgress);
  try {
    return await work();
  } finally {
    await rm(path, { force: true });
  }
}

async function take(path: string, onProgress: (step: string) => void): Promise<void> {
  for (let waitedMs = 0; waitedMs < waitMsMax; waitedMs += pollMs) {
    try {
      await writeFile(path, `${process.pid}\n`, { flag: 'wx' });
      return;
    } catch (error) {
      if (systemCode(error) !== 'EEXIST') throw error;
    }
    const owner = Number(await readFile(path, 'utf8').catch(() => ''));
    if (Number.isInteger(owner) && owner > 0 && !existsSync(`/proc/${owner}`)) {
      await rm(path, { force: true });
      continue;
    }
    if (waitedMs === 0) onProgress(`process ${owner} builds the same image: waiting for it`);
    await sleep(pollMs);
  }
  throw new UnderstudyError('E_GUEST_BUILD_BUSY', 'another process builds the lab guest', {
    hint: `If no build is running, remove ${path}.`,
    fields: { path },
  });
}
