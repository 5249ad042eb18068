import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemCode } from '../shared/errors.ts';

/**
 * The processes of one drill. Every one of them (agents, QEMU, nats-server) has the run's own
 * name in its arguments, so those that nobody waits for any more can still be found: a QEMU
 * outlives its agent by design.
 */

export interface RunProcess {
  readonly pid: number;
  readonly command: string;
}

/** Processes whose arguments hold `mark`, this process not among them. */
export function findRunProcesses(mark: string): RunProcess[] {
  const found: RunProcess[] = [];
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    const command = readCommand(pid);
    if (command?.includes(mark)) found.push({ pid, command });
  }
  return found;
}

/** Asks them to end, then ends them. Returns those that are still there after `deadlineMs`. */
export async function endRunProcesses(mark: string, deadlineMs: number): Promise<RunProcess[]> {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    for (const { pid } of findRunProcesses(mark)) killIfThere(pid, signal);
    const endAtMs = performance.now() + deadlineMs / 2;
    while (performance.now() < endAtMs) {
      if (findRunProcesses(mark).length === 0) return [];
      await sleep(20);
    }
  }
  return findRunProcesses(mark);
}

/** Sends the signal. False where there is no such process any more. */
export function killIfThere(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    if (systemCode(error) === 'ESRCH') return false;
    throw error;
  }
}

/** Arguments of a process, blank separated; undefined where it is gone or a zombie. */
export function readCommand(pid: number): string | undefined {
  try {
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
    return command === '' ? undefined : command;
  } catch {
    return undefined;
  }
}
