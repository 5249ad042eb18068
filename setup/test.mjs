// Runs the linter and every test, and closes with one line: "N passed, N failed".
// `npm test -- FILES…` runs some. Set-up is `pretest`'s job.
//
// Two lanes run side by side, in each of them one test at a time: what runs whole pairs, and all the
// rest. Two pairs at once would cost each other their time.
import { spawn, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const pairs = ['test/drill/**/*.test.ts', 'test/integration/**/*.test.ts'];
const rest = ['test/**/*.test.ts', ...pairs.map((pattern) => `!${pattern}`)];
const asked = process.argv.slice(2);

const lint = spawnSync('npx', ['--no-install', 'biome', 'check', '--error-on-warnings', '.'], {
  cwd: root,
  stdio: ['ignore', 'inherit', 'inherit'],
});
const lanes = await Promise.all((asked.length > 0 ? [asked] : [rest, pairs]).map(runLane));
const passed = lanes.reduce((sum, lane) => sum + lane.passed, 0);
const failed = lanes.reduce((sum, lane) => sum + lane.failed, lint.status === 0 ? 0 : 1);
process.stdout.write(`\n${passed} passed, ${failed} failed\n`);
process.exitCode = failed === 0 ? 0 : 1;

/** Runs the tests of these patterns. A lane that did not end well has at least one failure. */
function runLane(patterns) {
  const run = spawn('npx', ['--no-install', 'ava', ...patterns], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  let passed = 0;
  let tail = '';
  run.stdout.setEncoding('utf8');
  const print = (whole) => {
    process.stdout.write(whole);
    passed += whole.split('✔').length - 1;
    tail = (tail + whole).slice(-20_000);
  };
  run.stdout.on('data', (piece) => {
    // Whole lines, as the other lane prints as well.
    const end = piece.lastIndexOf('\n') + 1;
    if (end > 0) print(text + piece.slice(0, end));
    text = (end > 0 ? '' : text) + piece.slice(end);
  });
  return new Promise((resolve) => {
    run.on('close', (status) => {
      print(text);
      const count = (pattern) => Number(pattern.exec(tail)?.[1] ?? 0);
      const failed =
        count(/(\d+) tests? failed/) +
        count(/(\d+) uncaught exceptions?/) +
        count(/(\d+) unhandled rejections?/) +
        count(/(\d+) tests? timed out/);
      const isWell = status === 0 && passed > 0;
      resolve({ passed, failed: isWell ? failed : Math.max(failed, 1) });
    });
  });
}
