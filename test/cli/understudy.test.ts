import { type ChildProcess, execFile, spawn } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { commands } from '../../cli/commands.ts';

/** The real command, as a child process, from the real launcher. */

const root = fileURLToPath(new URL('../../..', import.meta.url));
const launcher = join(root, 'bin/understudy');

interface Ended {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

function run(file: string, args: readonly string[], cwd = root): Promise<Ended> {
  return new Promise((done, fail) => {
    const options = { cwd, timeout: 300_000, killSignal: 'SIGKILL' } as const;
    execFile(file, args, options, (error, stdout, stderr) => {
      const status = error === null ? 0 : error.code;
      if (typeof status === 'number') done({ status, stdout, stderr });
      else fail(error);
    });
  });
}

const understudy = (...args: string[]) => run(launcher, args);

/** The same on a terminal: `script` gives it one, on which both outputs meet. */
const onTerminal = (command: string) => run('script', ['-qec', command, '/dev/null']);

/** The one line of JSON that ends a refused command. */
function failureOf({ stderr }: Ended) {
  const lines = stderr.trimEnd().split('\n');
  if (lines.length !== 1) throw new Error(`expected one line, found ${stderr}`);
  return JSON.parse(lines[0]!);
}

function temporaryFolder(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-cli-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

test('--version prints the version of the package', async (t) => {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  t.deepEqual(await understudy('--version'), {
    status: 0,
    stdout: `understudy ${version}\n`,
    stderr: '',
  });
});

test('--help names every command; without a command the same goes to standard error', async (t) => {
  const { status, stdout } = await understudy('--help');
  t.is(status, 0);
  for (const { name, summary } of commands)
    t.true(stdout.includes(`${name} `) && stdout.includes(summary));
  const bare = await understudy();
  t.deepEqual(bare, { status: 2, stdout: '', stderr: stdout });
});

for (const { name, options, summary } of commands) {
  test(`understudy ${name} --help says what it does and names every option`, async (t) => {
    const { status, stdout, stderr } = await understudy(...name.split(' '), '--help');
    t.is(status, 0);
    t.is(stderr, '');
    t.true(stdout.startsWith(`Usage: understudy ${name}`));
    t.true(stdout.includes(summary));
    for (const option of Object.keys(options)) t.true(stdout.includes(`--${option}`), option);
    t.true(stdout.split('\n').every((line) => line.length <= 100));
  });
}

test('a group of commands lists its members', async (t) => {
  const { status, stdout } = await understudy('config', '--help');
  t.is(status, 0);
  t.true(stdout.includes('config check') && !stdout.includes('guest build'));
  t.is((await understudy('config')).status, 2);
});

const misuses: readonly (readonly [string, string])[] = [
  ['drll', 'unknown command "drll"; did you mean drill?'],
  ['config chek x', 'unknown command "config chek"; did you mean config check?'],
  ['zzzzzz', 'unknown command "zzzzzz"'],
  ['--verbose', 'unknown option --verbose'],
  ['drill --jsn', 'unknown option --jsn; did you mean --json?'],
  ['primary -x', 'unknown option -x'],
  ['primary', 'option -c FILE is missing'],
  ['primary -c', 'argument missing'],
  ['drill --json=yes', 'does not take an argument'],
  ['drill kill-host again', '"again" is one word too many'],
  ['config check', 'FILE is missing'],
  ['config print a b', '"b" is one word too many'],
];
for (const [args, message] of misuses) {
  test(`\`understudy ${args}\` is refused with status 2 and what to do`, async (t) => {
    const ended = await understudy(...args.split(' '));
    t.is(ended.status, 2);
    t.is(ended.stdout, '');
    const failure = failureOf(ended);
    t.is(failure.code, 'E_USAGE');
    t.true(failure.message.includes(message), failure.message);
    t.regex(failure.hint, /--help/);
  });
}

test('config check accepts the files of configs/', async (t) => {
  const files = ['primary', 'backup', 'lab', 'lab-disk'].map((name) => `configs/${name}.yaml`);
  const { status, stdout, stderr } = await understudy('config', 'check', ...files);
  t.is(status, 0);
  t.is(stderr, '');
  t.is(stdout.split('\n')[0], 'configs/primary.yaml: right (primary, guest guest-1)');
});

test('config check reports every refused file, each with all its problems', async (t) => {
  const folder = temporaryFolder(t);
  const wrong = join(folder, 'wrong.yaml');
  writeFileSync(wrong, 'role: backup\nguest:\n  name: a\n  vcpu: 2\n  kernel: k\nstagin: 1\n');
  const files = [wrong, 'configs/lab.yaml', join(folder, 'missing.yaml')];
  const { status, stdout, stderr } = await understudy('config', 'check', ...files);
  t.is(status, 2);
  t.is(stdout, 'configs/lab.yaml: right (lab, guest lab)\n');
  const [first, second] = stderr
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.is(first.code, 'E_CONFIG_INVALID');
  t.deepEqual(
    first.problems.map((problem: { line: number; key: string }) => [problem.line, problem.key]),
    [
      [4, 'guest.vcpu'],
      [6, 'stagin'],
    ],
  );
  t.is(second.code, 'E_CONFIG_MISSING');
});

test('on a terminal an error is a sentence and a hint', async (t) => {
  const { status, stdout } = await onTerminal(`${launcher} config check nowhere.yaml`);
  t.is(status, 2);
  t.regex(stdout, /^error E_CONFIG_MISSING: there is no file nowhere\.yaml\r\n/);
  t.regex(stdout, /\r\nhint: name an existing file.*\r\n$/);
});

test('config print fills in the defaults, and --explain explains them', async (t) => {
  const plain = await understudy('config', 'print', 'configs/lab.yaml');
  t.is(plain.status, 0);
  t.regex(plain.stdout, /^role: lab\n(.*\n)*guest:\n {2}name: lab\n/);
  const explained = await understudy('config', 'print', '--explain', 'configs/lab.yaml');
  t.is(explained.stdout, readFileSync(join(root, 'configs/lab.yaml'), 'utf8'));
});

test('config schema prints JSON', async (t) => {
  const { status, stdout } = await understudy('config', 'schema');
  t.is(status, 0);
  t.is(stdout, readFileSync(join(root, 'configs/understudy.schema.json'), 'utf8'));
});

test('a reader that comes late gets all of a long output', async (t) => {
  const { stdout } = await run('sh', ['-c', `${launcher} config schema | (sleep 1; cat)`]);
  t.is(stdout, readFileSync(join(root, 'configs/understudy.schema.json'), 'utf8'));
});

test("an agent refuses another role's file before it starts anything", async (t) => {
  for (const [command, file] of [
    ['primary', 'configs/backup.yaml'],
    ['backup', 'configs/primary.yaml'],
    ['backup', 'configs/lab.yaml'],
  ] as const) {
    const ended = await understudy(command, '-c', file);
    t.is(ended.status, 2);
    t.is(ended.stdout, '');
    t.is(failureOf(ended).code, 'E_CONFIG_ROLE');
  }
});

test('an output that nobody reads any more is no fault', async (t) => {
  const { status, stdout, stderr } = await run('sh', ['-c', `${launcher} config schema | head -1`]);
  t.deepEqual({ status, stdout, stderr }, { status: 0, stdout: '{\n', stderr: '' });
});

test('the launcher works through a link, as npm makes one, and from any folder', async (t) => {
  const folder = temporaryFolder(t);
  symlinkSync(launcher, join(folder, 'understudy'));
  const { status, stdout } = await run(join(folder, 'understudy'), ['--version'], folder);
  t.is(status, 0);
  t.regex(stdout, /^understudy \d/);
});

test('the launcher says what to do where nothing is built', async (t) => {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, 'bin'));
  cpSync(launcher, join(folder, 'bin/understudy'));
  const { status, stderr } = await run(join(folder, 'bin/understudy'), ['drill']);
  t.is(status, 70);
  t.regex(stderr, /^error E_NOT_BUILT: .*\nhint: run `npm run build`/);
});

test('the launcher says what to do where there is no node', async (t) => {
  const folder = temporaryFolder(t);
  for (const tool of ['dirname', 'readlink']) symlinkSync(`/usr/bin/${tool}`, join(folder, tool));
  const { status, stderr } = await run('/usr/bin/env', [`PATH=${folder}`, '/bin/sh', launcher]);
  t.is(status, 70);
  t.regex(stderr, /^error E_NODE_MISSING: /);
});

/** A process that watches the stop signals and tells, on standard output, what it sees. */
function startWatcher(t: ExecutionContext): {
  child: ChildProcess;
  said: (word: string) => Promise<void>;
} {
  const module = join(root, 'dist/cli/stop-signal.js');
  const script = `
    const { watchStopSignals } = await import(${JSON.stringify(module)});
    const { stop } = watchStopSignals();
    stop.addEventListener('abort', () => console.log('stopping', stop.reason));
    setInterval(() => {}, 1000);
    console.log('ready');`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script]);
  t.teardown(() => child.kill('SIGKILL'));
  let text = '';
  child.stdout.on('data', (data) => {
    text += data;
  });
  const said = async (word: string) => {
    const deadline = Date.now() + 120_000;
    while (!text.includes(word)) {
      if (Date.now() > deadline) throw new Error(`it never said ${word}, but: ${text}`);
      await new Promise((done) => setTimeout(done, 20));
    }
  };
  return { child, said };
}

for (const [name, status] of [
  ['SIGTERM', 143],
  ['SIGINT', 130],
  ['SIGHUP', 129],
] as const) {
  test(`the first ${name} asks to stop, the second ends the process with ${status}`, async (t) => {
    const { child, said } = startWatcher(t);
    await said('ready');
    child.kill(name);
    await said(`stopping ${name}`);
    t.is(child.exitCode, null);
    const ended = new Promise((done) => child.on('exit', (code) => done(code)));
    child.kill(name);
    t.is(await ended, status);
  });
}
