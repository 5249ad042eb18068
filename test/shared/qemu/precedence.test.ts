import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { getPriority, setPriority } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { putAhead, putInLineSoon } from '../../../shared/qemu/precedence.ts';

async function startSleeper(): Promise<ChildProcess> {
  const child = spawn('sleep', ['60'], { detached: true, stdio: 'ignore' });
  await once(child, 'spawn');
  return child;
}

/** Where this process may not, nothing changes: that is what a host without the right looks like. */
async function mayPutAhead(): Promise<boolean> {
  const child = await startSleeper();
  try {
    setPriority(child.pid!, -10);
    return true;
  } catch {
    return false;
  } finally {
    child.kill('SIGKILL');
  }
}

test('what was put ahead takes its turn again, as its agent does', async (t) => {
  const child = await startSleeper();
  t.teardown(() => child.kill('SIGKILL'));
  const pid = child.pid!;
  putAhead(pid);
  t.is(getPriority(pid), (await mayPutAhead()) ? -10 : getPriority());
  putInLineSoon(pid);
  const endAtMs = performance.now() + 60_000;
  while (getPriority(pid) !== getPriority() && performance.now() < endAtMs) await sleep(50);
  t.is(getPriority(pid), getPriority());
});

test('what its operator gave another place keeps it', async (t) => {
  const child = await startSleeper();
  t.teardown(() => child.kill('SIGKILL'));
  setPriority(child.pid!, 5);
  putInLineSoon(child.pid!);
  await sleep(1500);
  t.is(getPriority(child.pid!), 5);
});

test('a process that is gone is no error', async (t) => {
  const child = await startSleeper();
  child.kill('SIGKILL');
  await once(child, 'exit');
  t.notThrows(() => putAhead(child.pid!));
});
