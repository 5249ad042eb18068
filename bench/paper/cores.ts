import { execFileSync } from 'node:child_process';
import { cpus } from 'node:os';

/** Processes that are kept to one core each, with all their threads. */
export type Place = 'guest' | 'agents';

const coreOf: Readonly<Record<Place, number>> = { guest: 0, agents: 1 };

export const canPin = cpus().length > 1;

/** Keeps a process, and what it starts from now on, to the core of `place`. */
export function pin(pid: number, place: Place): void {
  if (!canPin) return;
  execFileSync('taskset', ['-a', '-c', '-p', `${coreOf[place]}`, `${pid}`], { stdio: 'ignore' });
}
