import { readFileSync } from 'node:fs';

/** Memory of the agents that is theirs alone, MiB: guest RAM, which they map, is not in it. */
export interface MemorySample {
  readonly primaryMib: number;
  readonly backupMib: number;
}

export function sampleMemory(primaryPid: number, backupPid: number): MemorySample {
  return { primaryMib: anonymousMib(primaryPid), backupMib: anonymousMib(backupPid) };
}

/** RssAnon of a process: everything resident but mapped files and shared memory. */
function anonymousMib(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const kib = /^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1];
  if (kib === undefined) throw new Error(`process ${pid} says nothing about its memory`);
  return Number(kib) / 1024;
}
