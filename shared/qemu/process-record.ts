import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemCode, UnderstudyError } from '../errors.ts';
import type { GuestDescription } from '../guest/guest.ts';

/** What an agent leaves beside a QEMU that it started, so that the next agent can adopt it. */
export interface ProcessRecord extends ProcessIdentity {
  readonly role: 'guest' | 'standby';
  readonly description: GuestDescription;
}

/** A pid is used again some day; with its start and the boot it names one process. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat. */
  readonly startTicks: number;
  readonly bootId: string;
}

export function writeRecord(path: string, record: ProcessRecord): void {
  writeFileSync(`${path}.new`, `${JSON.stringify(record)}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** The record, or undefined where there is none. A file that is not one is E_GUEST_RECORD. */
export function readRecord(path: string): ProcessRecord | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  const record = parseRecord(text);
  if (record !== undefined) return record;
  throw new UnderstudyError('E_GUEST_RECORD', `${path} is not a record of a guest's process`, {
    hint: 'See that no QEMU of this guest runs (qemu.pid beside it), then remove the file.',
    fields: { path },
  });
}

export function removeRecord(path: string): void {
  rmSync(path, { force: true });
}

/** Identity of a process that runs now, or undefined; one that ended is not running. */
export function identify(pid: number): ProcessIdentity | undefined {
  const startTicks = runningSince(pid);
  return startTicks === undefined ? undefined : { pid, startTicks, bootId: bootId() };
}

/** True where exactly this process still runs. */
export function isRunning(identity: ProcessIdentity): boolean {
  return runningSince(identity.pid) === identity.startTicks && identity.bootId === bootId();
}

/** Differs between any two boots of any two hosts. */
export function bootId(): string {
  knownBootId ??= readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  return knownBootId;
}

/**
 * Stops every thread of a process that is to run no more. True once none of them can do anything;
 * false where the process has ended, or a thread is stuck in the kernel for too long.
 */
export async function freeze(identity: ProcessIdentity): Promise<boolean> {
  if (!isRunning(identity)) return false;
  process.kill(identity.pid, 'SIGSTOP');
  const deadline = performance.now() + freezeTimeoutMs;
  while (!threadsOf(identity.pid).every((state) => state === 'T')) {
    if (performance.now() > deadline || !isRunning(identity)) return false;
    await sleep(1);
  }
  return isRunning(identity);
}

const freezeTimeoutMs = 1000;

/** The state of each thread, as field 3 of its stat has it. */
function threadsOf(pid: number): string[] {
  try {
    const folder = `/proc/${pid}/task`;
    return readdirSync(folder).map((id) => {
      const stat = readFileSync(`${folder}/${id}/stat`, 'utf8');
      return stat.charAt(stat.lastIndexOf(')') + 2);
    });
  } catch {
    // One that ended while it was looked at: all are looked at again.
    return ['?'];
  }
}

let knownBootId: string | undefined;

function runningSince(pid: number): number | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ESRCH') return undefined;
    throw error;
  }
  // The name, in parentheses, may hold anything; field 3 (the state) comes after it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ended = (fields[0] === 'Z' || fields[0] === 'X') && !hasThreads(pid);
  return ended ? undefined : Number(fields[19]);
}

/** The first thread of a killed process ends before others that still hold its files and locks. */
function hasThreads(pid: number): boolean {
  try {
    return readdirSync(`/proc/${pid}/task`).length > 1;
  } catch {
    return false;
  }
}

function parseRecord(text: string): ProcessRecord | undefined {
  try {
    const value = JSON.parse(text) as Partial<ProcessRecord> | null;
    const whole =
      Number.isSafeInteger(value?.pid) &&
      Number.isSafeInteger(value?.startTicks) &&
      typeof value?.bootId === 'string' &&
      (value.role === 'guest' || value.role === 'standby') &&
      typeof value.description?.devicesDigest === 'string';
    return whole ? (value as ProcessRecord) : undefined;
  } catch {
    return undefined;
  }
}
