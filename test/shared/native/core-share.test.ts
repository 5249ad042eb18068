import { spawnSync } from 'node:child_process';
import test from 'ava';

const libc = new URL('../../../shared/native/libc.js', import.meta.url).href;

/** Asks for a share of a core in a process of its own, and prints the thread's policy (proc(5), field 41). */
const program = `
import { readFileSync } from 'node:fs';
import { runAhead, SystemCallError } from '${libc}';
try {
  runAhead({ runtimeMs: 3, periodMs: 15 });
  const stat = readFileSync('/proc/thread-self/stat', 'utf8');
  const startedMs = performance.now();
  const before = process.cpuUsage();
  while (performance.now() - startedMs < 500);
  const { user, system } = process.cpuUsage(before);
  console.log(JSON.stringify({ policy: stat.slice(stat.lastIndexOf(')') + 2).split(' ')[38], usedMs: (user + system) / 1000 }));
} catch (error) {
  if (!(error instanceof SystemCallError)) throw error;
  console.log(JSON.stringify({ refused: error.code }));
}`;

test('a thread that comes first has its share of a core and no more', (t) => {
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ['--input-type=module', '--eval', program],
    { encoding: 'utf8', timeout: 60_000 },
  );
  t.is(stderr, '');
  const { refused, policy, usedMs } = JSON.parse(stdout);
  if (refused !== undefined) {
    // Without the right, or where other threads have all that can be promised: never a wrong request.
    t.true(['EPERM', 'EBUSY'].includes(refused), refused);
    return;
  }
  t.is(policy, '6', 'SCHED_DEADLINE');
  t.true(usedMs < 350, `${usedMs} ms of 500: a fifth, and what other threads of the process took`);
});
