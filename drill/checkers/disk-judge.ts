import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Check } from '../check.ts';
import { runTool, toolPath } from '../tools.ts';
import { countWrongSlots, readFoundWrites } from './sequence-check.ts';
import { connectStore } from './store-connection.ts';

/** Slots of the client's writes: `client/client-worker.ts`. */
const slotCount = 1000;
const openMs = 60_000;

/**
 * Judges the copy of a data disk of the lab guest, as after a loss of power, by the programs that
 * an operator would use: e2fsck, redis-check-aof, and a Redis that opens what is there.
 * `acknowledged`: the last write that a client was told about before the copy was made; null where
 * nobody knows. `folder` takes what comes off the disk.
 */
export async function judgeDisk(
  copy: string,
  folder: string,
  acknowledged: number | null,
): Promise<Check[]> {
  const fileSystem = await judgeFileSystem(copy);
  if (!fileSystem.ok) return [fileSystem];
  const files = join(folder, 'files');
  await mkdir(files, { recursive: true });
  const dumped = await runTool('debugfs', ['-R', `rdump /appendonlydir ${files}`, copy]);
  const log = await judgeLog(join(files, 'appendonlydir', 'appendonly.aof.manifest'));
  if (!log.ok) return [fileSystem, { ...log, detail: `${log.detail} ${dumped.said}` }];
  return [fileSystem, log, await judgeStore(files, acknowledged)];
}

/** The journal is replayed first, and what Linux itself would mend at a mount. */
async function judgeFileSystem(copy: string): Promise<Check> {
  const name = 'file-system-clean';
  const mended = await runTool('e2fsck', ['-p', copy]);
  if (mended.status === null || mended.status > 1) {
    return { name, ok: false, detail: `e2fsck -p: status ${mended.status}, ${mended.said}` };
  }
  const { status, said } = await runTool('e2fsck', ['-f', '-n', copy]);
  const summary = (said.split('\n').at(-1) ?? '').replace(`${copy}: `, '');
  return {
    name,
    ok: status === 0,
    detail: status === 0 ? `e2fsck finds nothing: ${summary}` : `e2fsck: ${said}`,
  };
}

/** An append that power cut in two ends the log early: Redis drops its rest, and so does this. */
async function judgeLog(manifest: string): Promise<Check> {
  const name = 'log-on-disk-whole';
  const whole = await runTool('redis-check-aof', [manifest]);
  if (whole.status === 0) return { name, ok: true, detail: 'redis-check-aof finds nothing' };
  const fixed = await runTool('redis-check-aof', ['--fix', manifest], 'y\n');
  const cut = /diff=(\d+)/.exec(whole.said)?.[1];
  return {
    name,
    ok: fixed.status === 0 && cut !== undefined,
    detail:
      fixed.status === 0
        ? `redis-check-aof cuts ${cut} bytes of a last append that was not finished`
        : `redis-check-aof: ${whole.said}`,
  };
}

/** Opens the log by a Redis on this machine and compares what it holds with the client's writes. */
async function judgeStore(folder: string, acknowledged: number | null): Promise<Check> {
  const name = 'disk-holds-acknowledged-writes';
  const socket = join(folder, 'redis.sock');
  const args = ['--port', '0', '--unixsocket', socket, '--dir', folder, '--appendonly', 'yes'];
  const server = startRedis([...args, '--save', '', '--daemonize', 'no', '--logfile', '/dev/null']);
  try {
    const client = await connectStore({ path: socket }, openMs, new AbortController().signal);
    try {
      const found = await readFoundWrites(client, slotCount, openMs);
      const wrongSlots = countWrongSlots(found, slotCount);
      return {
        name,
        ok: acknowledged === null || (found.count >= acknowledged && wrongSlots === 0),
        detail:
          `Redis opens what is on the disk: the first ${found.count} writes, ${wrongSlots} slots ` +
          `differ from that; acknowledged were ${acknowledged ?? 'none that is known'}`,
      };
    } finally {
      client.destroy();
    }
  } finally {
    server.kill('SIGKILL');
  }
}

/** Debian's redis-tools holds the server as well, under the name of a checker. */
const startRedis = (args: readonly string[]): ChildProcess =>
  spawn(toolPath('redis-check-rdb'), args, { argv0: 'redis-server', stdio: 'ignore' });
