import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { makeRunFolder, removeRunFolder, sweepDeadRuns } from '../../drill/run-folder.ts';
import { endRunProcesses, findRunProcesses } from '../../drill/run-processes.ts';

test('every process with the mark is found and ended, one that ignores SIGTERM as well', async (t) => {
  const mark = `mark-${randomBytes(8).toString('hex')}`;
  const meek = await start(t, `echo ready; while :; do sleep 1; done`, mark);
  const stubborn = await start(t, `trap "" TERM; echo ready; while :; do sleep 1; done`, mark);
  const stranger = await start(t, 'echo ready; while :; do sleep 1; done', 'other');
  const found = findRunProcesses(mark).map(({ pid }) => pid);
  t.true(found.includes(meek.pid!) && found.includes(stubborn.pid!));
  t.false(found.includes(stranger.pid!));
  t.deepEqual(await endRunProcesses(mark, 10_000), []);
  t.is(stranger.exitCode, null);
  t.deepEqual(findRunProcesses(mark), []);
});

test('what a killed drill left is cleared away; kept logs and a living drill are not', async (t) => {
  const memoryBase = await mkdtemp(join(tmpdir(), 'run-folder-test-'));
  t.teardown(() => rm(memoryBase, { recursive: true, force: true }));
  const [living, kept, dead] = await Promise.all([0, 1, 2].map(() => makeRunFolder(memoryBase)));
  for (const folder of [living!, kept!, dead!]) {
    t.teardown(() => removeRunFolder(folder, false));
    await writeFile(join(folder.path, 'primary.log'), 'text');
    await writeFile(join(folder.memoryPath, 'ram'), 'RAM');
  }
  await removeRunFolder(kept!, true);
  const ended = spawnSync('true').pid;
  const owner = { pid: ended, memoryPath: dead!.memoryPath };
  await writeFile(join(dead!.path, 'owner.json'), JSON.stringify(owner));
  const left = await start(t, `echo ready; while :; do sleep 1; done`, dead!.mark);

  t.true((await sweepDeadRuns()).includes(dead!.mark));
  t.false(existsSync(dead!.path));
  t.false(existsSync(dead!.memoryPath));
  t.true(
    left.exitCode !== null || left.signalCode !== null || !existsSync(`/proc/${left.pid}/exe`),
  );
  t.true(existsSync(join(living!.memoryPath, 'ram')));
  t.true(existsSync(join(kept!.path, 'primary.log')));
  t.false(existsSync(kept!.memoryPath), 'RAM is never kept');
});

test('the sweep removes nothing that a run folder only names', async (t) => {
  const precious = await mkdtemp(join(tmpdir(), 'run-folder-test-'));
  const folder = await mkdtemp(join(tmpdir(), 'understudy-drill-'));
  t.teardown(() => rm(precious, { recursive: true, force: true }));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  await mkdir(join(precious, 'data'));
  const owner = { pid: spawnSync('true').pid, memoryPath: precious };
  await writeFile(join(folder, 'owner.json'), JSON.stringify(owner));
  t.false((await sweepDeadRuns()).includes(basename(folder)));
  t.true(existsSync(join(precious, 'data')));
});

/** A shell with `mark` among its arguments, once it runs. */
async function start(t: ExecutionContext, script: string, mark: string): Promise<ChildProcess> {
  const child = spawn('sh', ['-c', script, 'sh', mark], { stdio: ['ignore', 'pipe', 'ignore'] });
  t.teardown(() => child.kill('SIGKILL'));
  await once(child.stdout!, 'data');
  return child;
}
