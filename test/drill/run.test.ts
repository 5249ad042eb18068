import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import type { DrillResult } from '../../drill/result.ts';
import { runDrill } from '../../drill/run.ts';
import { sweepDeadRuns } from '../../drill/run-folder.ts';
import { endRunProcesses, findRunProcesses } from '../../drill/run-processes.ts';

const mainPath = fileURLToPath(new URL('../../cli/main.js', import.meta.url));

test('a drill that is not there is refused before anything starts', async (t) => {
  const wrong = runDrill({ scenario: 'kill-hots', json: true });
  const error = await t.throwsAsync(wrong, { code: 'E_USAGE' });
  t.regex((error as Error & { hint: string }).hint, /kill-host\?/);
  await t.throwsAsync(runDrill({ scenario: 'toString' }), { code: 'E_USAGE' });
});

test('a drill without a NATS server prints one JSON object with the error', async (t) => {
  const folder = await temporaryFolder(t);
  const guestFile = join(folder, 'own.yaml');
  await writeFile(guestFile, 'role: lab\nguest: { name: own, kernel: /bin/true }\n');
  const args = ['kill-host', '--json', '--guest', guestFile, '--report', join(folder, 'report')];
  const drill = startDrill(t, folder, args, { PATH: '/nonexistent' });
  const { status, result } = await drill.end();
  t.is(status, 1);
  t.false(result.ok);
  t.is(result.error?.code, 'E_NATS_SERVER_MISSING');
  t.is(result.scenario, 'kill-host');
  const written = JSON.parse(await readFile(result.report!.json, 'utf8'));
  t.deepEqual(written, result);
  t.true(existsSync(result.report!.html));
});

test.serial('Ctrl-C ends everything that the drill started, and says so', async (t) => {
  const folder = await temporaryFolder(t);
  const drill = startDrill(t, folder, ['kill-host', '--json', '--report', join(folder, 'report')]);
  const mark = await drill.waitForGuest();
  drill.child.kill('SIGINT');
  const { status, result } = await drill.end();
  t.is(status, 130);
  t.is(result.error?.code, 'E_DRILL_INTERRUPTED');
  t.deepEqual(findRunProcesses(mark), []);
  t.false(existsSync(join('/dev/shm/understudy', mark)));
});

test.serial('what a drill leaves that is killed itself, the next one clears away', async (t) => {
  const folder = await temporaryFolder(t);
  const drill = startDrill(t, folder, ['kill-host', '--json', '--report', join(folder, 'report')]);
  const mark = await drill.waitForGuest();
  drill.child.kill('SIGKILL');
  await once(drill.child, 'exit');
  // The sweep looks where the killed drill made its folder.
  process.env.TMPDIR = folder;
  t.teardown(() => {
    delete process.env.TMPDIR;
  });
  t.deepEqual(await sweepDeadRuns(), [mark]);
  t.deepEqual(findRunProcesses(mark), []);
  t.false(existsSync(join('/dev/shm/understudy', mark)));
});

interface RunningDrill {
  readonly child: ChildProcess;
  /** Resolves with the run's mark as soon as a QEMU of it runs. */
  waitForGuest(): Promise<string>;
  /** Waits for the end; fails unless standard output is one JSON object. */
  end(): Promise<{ status: number | null; result: DrillResult }>;
}

function startDrill(
  t: ExecutionContext,
  folder: string,
  args: string[],
  env: NodeJS.ProcessEnv = {},
): RunningDrill {
  const child = spawn(process.execPath, [mainPath, 'drill', ...args], {
    env: { ...process.env, TMPDIR: folder, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.on('data', (chunk) => {
    text += chunk;
  });
  const exit = once(child, 'close');
  t.teardown(async () => {
    child.kill('SIGKILL');
    await endRunProcesses(folder, 20_000);
  });
  return {
    child,
    async waitForGuest() {
      for (let i = 0; i < 1800; i++) {
        const found = findRunProcesses(folder).find(({ command }) => command.includes('qemu'));
        const [mark] = (await readdir(folder)).filter((n) => n.startsWith('understudy-drill-'));
        if (found !== undefined && mark !== undefined) return mark;
        if (child.exitCode !== null) throw new Error(`the drill ended: ${text}`);
        await sleep(100);
      }
      throw new Error('no guest within three minutes');
    },
    async end() {
      await exit;
      return { status: child.exitCode, result: JSON.parse(text) };
    },
  };
}

async function temporaryFolder(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'drill-test-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}
