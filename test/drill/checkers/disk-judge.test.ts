import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { judgeDisk } from '../../../drill/checkers/disk-judge.ts';
import { slotKey, writesKey } from '../../../drill/checkers/sequence-history.ts';
import { runTool } from '../../../drill/tools.ts';

/** The log of a Redis that was told the first `count` writes of a drill's client. */
function appendOnlyFile(count: number): string {
  const commands = [['SELECT', '0']];
  for (let n = 1; n <= count; n++) {
    commands.push(['MULTI'], ['SET', slotKey(n % 1000), `${n}`], ['INCR', writesKey], ['EXEC']);
  }
  return commands
    .map((words) => `*${words.length}\r\n${words.map((w) => `$${w.length}\r\n${w}\r\n`).join('')}`)
    .join('');
}

async function diskWith(
  t: ExecutionContext,
  log: string,
): Promise<{ copy: string; folder: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'disk-judge-test-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const copy = join(folder, 'disk.raw');
  await writeFile(copy, Buffer.alloc(8 << 20));
  t.is((await runTool('mkfs.ext4', ['-q', '-F', copy])).status, 0);
  const [manifest, increments] = [join(folder, 'manifest'), join(folder, 'log')];
  const name = 'appendonly.aof.1.incr.aof';
  await writeFile(manifest, `file ${name} seq 1 type i\n`);
  await writeFile(increments, log);
  const commands = [
    ...['mkdir appendonlydir', 'cd appendonlydir'],
    ...[`write ${manifest} appendonly.aof.manifest`, `write ${increments} ${name}`],
  ];
  await writeFile(join(folder, 'commands'), `${commands.join('\n')}\n`);
  await runTool('debugfs', ['-w', '-f', join(folder, 'commands'), copy]);
  return { copy, folder };
}

const verdictOf = (checks: readonly { name: string; ok: boolean }[]) =>
  Object.fromEntries(checks.map(({ name, ok }) => [name, ok]));

test('a disk with every acknowledged write is right', async (t) => {
  const { copy, folder } = await diskWith(t, appendOnlyFile(30));
  const checks = await judgeDisk(copy, folder, 30);
  t.deepEqual(verdictOf(checks), {
    'file-system-clean': true,
    'log-on-disk-whole': true,
    'disk-holds-acknowledged-writes': true,
  });
});

test('an acknowledged write that is not on the disk is found', async (t) => {
  const { copy, folder } = await diskWith(t, appendOnlyFile(29));
  t.false(verdictOf(await judgeDisk(copy, folder, 30))['disk-holds-acknowledged-writes']);
});

test('an append that was cut off is no fault, but what was acknowledged in it is', async (t) => {
  const log = appendOnlyFile(30).slice(0, -20);
  const { copy, folder } = await diskWith(t, log);
  const lost = verdictOf(await judgeDisk(copy, folder, 30));
  t.deepEqual(lost, {
    'file-system-clean': true,
    'log-on-disk-whole': true,
    'disk-holds-acknowledged-writes': false,
  });
});

test('a damaged file system is found', async (t) => {
  const { copy, folder } = await diskWith(t, appendOnlyFile(3));
  const file = await open(copy, 'r+');
  const { length } = await readFile(copy);
  for (let at = 1024; at < length / 4; at += 4096)
    await file.write(Buffer.alloc(512, 0xa5), 0, 512, at);
  await file.close();
  t.deepEqual(verdictOf(await judgeDisk(copy, folder, 3)), { 'file-system-clean': false });
});
