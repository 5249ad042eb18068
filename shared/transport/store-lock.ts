import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemCode, UnderstudyError } from '../errors.ts';

/** Held by one living process at a time; one whose holder has died is taken over. */
export interface StoreLock {
  release(): void;
}

/**
 * Locks the store folder of a NATS server, which the server itself does not do. The lock is a
 * file that names its holder by pid and start time, so that a pid that was given out again is
 * not mistaken for it. Throws `E_NATS_STORE_IN_USE`.
 */
export function lockStore(folder: string): StoreLock {
  const file = join(folder, 'understudy.lock');
  const own = holderOf(process.pid) ?? `${process.pid} ?`;
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      writeFileSync(file, own, { flag: 'wx' });
      return { release: () => rmSync(file, { force: true }) };
    } catch (error) {
      if (systemCode(error) !== 'EEXIST') throw error;
    }
    const found = readIfThere(file);
    if (found === undefined) continue;
    const pid = Number.parseInt(found, 10);
    if (holderOf(pid) === found) throw inUse(folder, pid);
    rmSync(file, { force: true });
  }
  throw inUse(folder, 0);
}

/** "pid start-time" of a living process; field 22 of /proc/PID/stat is the start time. */
function holderOf(pid: number): string | undefined {
  const stat = Number.isInteger(pid) ? readIfThere(`/proc/${pid}/stat`) : undefined;
  if (stat === undefined) return undefined;
  // The command's name, in parentheses, may hold spaces: count from its end.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return `${pid} ${fields[19]}`;
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

function inUse(folder: string, pid: number): UnderstudyError {
  return new UnderstudyError('E_NATS_STORE_IN_USE', `${folder} is in use by process ${pid}`, {
    hint: 'End the other process, or give this server a folder of its own.',
    fields: { folder, pid },
  });
}
