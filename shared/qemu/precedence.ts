import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';
import { systemCode } from '../errors.ts';

const aheadNice = -10;
const aheadForMs = 1000;

/**
 * A standby runs before what else the host does: while it waits it does nothing, and when it is
 * resumed clients wait for it. Where the system does not let us, it runs as all else.
 */
export function putAhead(pid: number): void {
  attempt(() => writeFileSync(`/proc/${pid}/autogroup`, String(aheadNice)));
  forThreads(pid, (thread) => setPriority(thread, aheadNice));
}

/**
 * What was put ahead takes its turn again in a second, as this process does: a guest that was just
 * resumed has to find its caches first.
 */
export function putInLineSoon(pid: number): void {
  setTimeout(() => putInLine(pid), aheadForMs).unref();
}

function putInLine(pid: number): void {
  attempt(() => {
    if (sessionNice(pid) !== aheadNice) return;
    writeFileSync(`/proc/${pid}/autogroup`, String(sessionNice('self')));
  });
  forThreads(pid, (thread) => {
    if (getPriority(thread) === aheadNice) setPriority(thread, getPriority());
  });
}

/** Some kernels share out time by sessions first; what their threads want counts in them only. */
function sessionNice(pid: number | 'self'): number | undefined {
  const nice = /nice (-?\d+)/.exec(readFileSync(`/proc/${pid}/autogroup`, 'utf8'))?.[1];
  return nice === undefined ? undefined : Number(nice);
}

function forThreads(pid: number, work: (thread: number) => void): void {
  attempt(() => {
    for (const thread of readdirSync(`/proc/${pid}/task`)) attempt(() => work(Number(thread)));
  });
}

/** It may be gone, or not be ours to set: nothing that matters rests on it. */
function attempt(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
  }
}
