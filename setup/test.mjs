// Runs the linter and every test, and closes with one line: "N passed, N failed".
// `npm test -- FILES…` runs some. Set-up is `pretest`'s job.
import { spawn, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const asked = process.argv.slice(2);

const lint = spawnSync('npx', ['--no-install', 'biome', 'check', '--error-on-warnings', '.'], {
  cwd: root,
  stdio: ['ignore', 'inherit', 'inherit'],
});
const run = spawn('npx', ['--no-install', 'ava', ...asked], {
  cwd: root,
  stdio: ['ignore', 'pipe', 'inherit'],
});
let tail = '';
let passed = 0;
run.stdout.setEncoding('utf8');
run.stdout.on('data', (text) => {
  process.stdout.write(text);
  passed += text.split('✔').length - 1;
  tail = (tail + text).slice(-20_000);
});
run.on('close', (status) => {
  const count = (pattern) => Number(pattern.exec(tail)?.[1] ?? 0);
  const failed =
    count(/(\d+) tests? failed/) +
    count(/(\d+) uncaught exceptions?/) +
    count(/(\d+) unhandled rejections?/) +
    count(/(\d+) tests? timed out/) +
    (lint.status === 0 ? 0 : 1);
  const ok = status === 0 && lint.status === 0 && passed > 0;
  process.stdout.write(`\n${passed} passed, ${ok ? failed : Math.max(failed, 1)} failed\n`);
  process.exitCode = ok ? 0 : 1;
});
