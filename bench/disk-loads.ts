import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Contender } from './race.ts';

const mib = 2 ** 20;
const imageBytes = 512 * mib;

/** One way to use a disk, as `qemu-img bench` takes it. */
export interface Load {
  readonly id: string;
  readonly what: string;
  readonly unit: 'GB/s' | 'pages/s';
  readonly requestBytes: number;
  readonly depth: number;
  readonly stepBytes: number;
  readonly isWrite: boolean;
  readonly count: number;
}

const sequential = {
  requestBytes: mib,
  depth: 8,
  stepBytes: mib,
  unit: 'GB/s',
  count: 500,
} as const;
/** An odd step: neighbouring requests lie far apart and the disk is walked through evenly. */
const scattered = { requestBytes: 4096, stepBytes: 1_077_248, unit: 'pages/s' } as const;
export const loads: readonly Load[] = [
  { ...sequential, id: 'seq-read', what: 'Sequential read, 1 MiB', isWrite: false },
  { ...sequential, id: 'seq-write', what: 'Sequential write, 1 MiB', isWrite: true },
  ...[1, 32].flatMap((depth) =>
    [false, true].map((isWrite) => {
      const name = isWrite ? 'write' : 'read';
      const what = `4 KiB ${name}s all over, queue depth ${depth}`;
      const count = depth === 1 ? 8000 : 40_000;
      return { ...scattered, id: `4k-${name}-${depth}`, what, depth, isWrite, count };
    }),
  ),
];

/** `share`: of the load's requests. */
export function contender(
  load: Load,
  share: number,
  id: string,
  who: string,
  uri: string,
): Contender {
  const { unit, requestBytes, depth, stepBytes, isWrite } = load;
  const count = Math.ceil(load.count * share);
  const args = ['bench', '-f', 'raw', '-c', `${count}`, '-d', `${depth}`, '-s', `${requestBytes}`];
  args.push('-S', `${stepBytes}`, ...(isWrite ? ['-w'] : []), uri);
  return {
    id: `${id}.${load.id}`,
    what: `${load.what}: ${who}`,
    unit,
    measure: async () => {
      const { stdout } = await promisify(execFile)('qemu-img', args);
      const seconds = Number(/Run completed in ([0-9.]+) seconds/.exec(stdout)?.[1]);
      if (!(seconds > 0)) throw new Error(`qemu-img bench said: ${stdout}`);
      return unit === 'GB/s' ? (count * requestBytes) / 1e9 / seconds : count / seconds;
    },
  };
}

/** Whole, so that no contender has to allocate, and on its way to the disk already. */
export async function makeImage(folder: string, name: string): Promise<string> {
  const path = join(folder, `${name}.raw`);
  const file = await open(path, 'w');
  const piece = Buffer.alloc(mib, name);
  for (let at = 0; at < imageBytes; at += mib) await file.write(piece, 0, mib, at);
  await file.sync();
  await file.close();
  return path;
}

export async function startQemuNbd(socket: string, image: string) {
  const args = ['-f', 'raw', '-e', '16', '-t', '-k', socket, image];
  const child = spawn('qemu-nbd', args, { stdio: ['ignore', 'ignore', 'inherit'] });
  const failed = new Promise<never>((_, reject) => child.once('error', reject));
  const listening = (async () => {
    while (!existsSync(socket)) {
      if (child.exitCode !== null) throw new Error(`qemu-nbd ended with status ${child.exitCode}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  })();
  await Promise.race([listening, failed]);
  return Object.assign(child, { uri: `nbd+unix:///?socket=${socket}` });
}

export async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const exit = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await exit;
}
