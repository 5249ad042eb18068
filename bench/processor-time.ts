import { readFileSync } from 'node:fs';

/** Seconds of processor time that a process has used, all its threads together. */
export function processorSeconds(pid: number): number {
  const { user, system } = timesIn(`/proc/${pid}/stat`);
  return user + system;
}

/** The same of one thread. */
export function threadSeconds(pid: number, thread: number): number {
  const { user, system } = timesIn(`/proc/${pid}/task/${thread}/stat`);
  return user + system;
}

/** The same of this process and of those of its children that have ended. */
export function benchSeconds(): number {
  const { user, system, children } = timesIn('/proc/self/stat');
  return user + system + children;
}

function timesIn(path: string) {
  const stat = readFileSync(path, 'utf8');
  // Behind the name, which may hold spaces: state is field 3, utime 14, stime 15, cutime 16 and
  // cstime 17 (proc_pid_stat(5)).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [user, system, theirUser, theirSystem] = fields
    .slice(11, 15)
    .map((ticks) => Number(ticks) / ticksPerSecond);
  return { user: user!, system: system!, children: theirUser! + theirSystem! };
}

/** USER_HZ: what Linux counts in on every architecture that Node runs on. */
const ticksPerSecond = 100;
