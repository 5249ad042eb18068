import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import test from 'ava';
import { freeze, identify } from '../../../shared/qemu/process-record.ts';

test('a process that is frozen has no thread that runs; one that ended is not frozen', async (t) => {
  // A Node process has several threads.
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1); console.log(1)'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const exited = once(child, 'exit');
  t.teardown(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  await once(child.stdout, 'data');
  const identity = identify(child.pid!)!;
  t.true(await freeze(identity));
  const tasks = readdirSync(`/proc/${child.pid}/task`);
  t.true(tasks.length > 1);
  for (const task of tasks) {
    const stat = readFileSync(`/proc/${child.pid}/task/${task}/stat`, 'utf8');
    t.regex(stat, /\) T /);
  }
  child.kill('SIGKILL');
  await exited;
  t.false(await freeze(identity));
});
