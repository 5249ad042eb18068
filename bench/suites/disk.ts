import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { DiskServer } from '../../shared/disk/disk-server.ts';
import { epoch } from '../../shared/ids.ts';
import { UndoList } from '../../shared/undo-list.ts';
import { type Contender, race } from '../race.ts';
import type { Row } from '../row.ts';
import type { Suite, SuiteOptions } from '../suite.ts';

const mib = 2 ** 20;
const imageBytes = 512 * mib;

/** One way to use a disk, as `qemu-img bench` takes it. */
interface Load {
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
const loads: readonly Load[] = [
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

/** The disk server against qemu-nbd on a file of the same content, in the page cache. */
export const diskSuite: Suite = {
  name: 'disk',
  title: 'Disk server',
  about: `\`qemu-img bench\` over a unix socket, on images of 512 MiB in the page cache: the
agent's disk server, the same with every change logged and handed to the main thread as
replication does (without a network behind it), and Debian's qemu-nbd. They take turns.`,
  rowIds: loads.flatMap(({ id }) => [`disk.${id}`, `disk-logged.${id}`]),
  run: ({ quick, progress }: SuiteOptions): Promise<Row[]> =>
    UndoList.around(async (undo) => {
      const folder = await mkdtemp(join(tmpdir(), 'understudy-bench-'));
      undo.defer(() => rm(folder, { recursive: true, force: true }));
      const nbd = await startQemuNbd(
        join(folder, 'theirs.sock'),
        await makeImage(folder, 'theirs'),
      );
      undo.defer(() => ended(nbd));
      const plain = await serve(folder, 'plain', undo);
      const logged = await serve(folder, 'logged', undo);
      logged.server.startLog(epoch(1), mib, (_, __, sent) => setImmediate(sent));
      const rows: Row[] = [];
      for (const load of loads) {
        progress(`disk: ${load.what}`);
        const share = quick ? 0.05 : 1;
        const theirs = contender(load, share, 'qemu-nbd', 'qemu-nbd', nbd.uri);
        const others = [
          { ...contender(load, share, 'disk', 'agent', plain.uri), against: theirs.id },
          {
            ...contender(load, share, 'disk-logged', 'agent, logged', logged.uri),
            against: theirs.id,
          },
        ];
        rows.push(...(await race([theirs, ...others], { rounds: quick ? 1 : 7, roundMs: 0 })));
      }
      return rows;
    }),
};

function contender(load: Load, share: number, id: string, who: string, uri: string): Contender {
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

async function serve(folder: string, name: string, undo: UndoList) {
  const socketPath = join(folder, `${name}.sock`);
  const onDeath = (error: Error) => {
    throw error;
  };
  const images = [await makeImage(folder, name)];
  const server = await DiskServer.start({ images, socketPath, mapFolder: folder, onDeath });
  undo.defer(() => server.close());
  server.openToChanges();
  return { server, uri: `nbd+unix:///disk0?socket=${socketPath}` };
}

/** Whole, so that no contender has to allocate, and on its way to the disk already. */
async function makeImage(folder: string, name: string): Promise<string> {
  const path = join(folder, `${name}.raw`);
  const file = await open(path, 'w');
  const piece = Buffer.alloc(mib, name);
  for (let at = 0; at < imageBytes; at += mib) await file.write(piece, 0, mib, at);
  await file.sync();
  await file.close();
  return path;
}

async function startQemuNbd(socket: string, image: string) {
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

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const exit = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await exit;
}
