import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import test from 'ava';

const mainPath = fileURLToPath(new URL('../../../bench/paper/main.js', import.meta.url));
const run = (...args: string[]) =>
  spawnSync(process.execPath, [mainPath, ...args], { encoding: 'utf8' });

test('wrong usage exits with 2 and says what there is, before anything is started', (t) => {
  for (const args of [['--workload', 'nope'], ['--nope'], ['--write', '--workload', 'idle']]) {
    const { stdout, stderr, status } = run(...args);
    t.is(status, 2, args.join(' '));
    t.is(stdout, '');
    t.regex(stderr, /Usage: npm run bench:paper/);
  }
  const { stdout, status } = run('--help');
  t.is(status, 0);
  t.regex(stdout, /--quick/);
});
