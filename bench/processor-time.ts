import { readFileSync } from 'node:fs';

/** Seconds of processor time that a process has used, all its threads together. */
export function processorSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // Behind the name, which may hold spaces: state is field 3, utime 14, stime 15 (proc_pid_stat(5)).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

/** USER_HZ: what Linux counts in on every architecture that Node runs on. */
const ticksPerSecond = 100;
