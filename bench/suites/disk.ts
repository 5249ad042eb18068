import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DiskServer } from '../../shared/disk/disk-server.ts';
import { epoch } from '../../shared/ids.ts';
import { UndoList } from '../../shared/undo-list.ts';
import { contender, ended, loads, makeImage, startQemuNbd } from '../disk-loads.ts';
import { race } from '../race.ts';
import type { Row } from '../row.ts';
import type { Suite, SuiteOptions } from '../suite.ts';

const mib = 2 ** 20;

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

async function serve(folder: string, name: string, undo: UndoList) {
  const socketPath = join(folder, `${name}.sock`);
  const onDeath = (error: Error) => {
    throw error;
  };
  const images = [await makeImage(folder, name)];
  const server = await DiskServer.start({
    images,
    socketPath,
    mapFolder: folder,
    onDeath,
    onTrouble: onDeath,
  });
  undo.defer(() => server.close());
  server.openToChanges();
  return { server, uri: `nbd+unix:///disk0?socket=${socketPath}` };
}
