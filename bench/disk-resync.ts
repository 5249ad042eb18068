import { execFile } from 'node:child_process';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Lab } from '../drill/lab.ts';
import { diskPath } from '../drill/lab-config.ts';
import { isKind } from '../drill/measure.ts';
import { isProtected, isUnprotected } from '../drill/steps.ts';
import type { MeasuredRow } from './row.ts';

const pageBytes = 4096;
const pieceBytes = 2 ** 20;

/**
 * The backup's host dies, the guest's disk is written meanwhile, and the host comes back: what was
 * sent of the disk, over what differed, page by page.
 */
export async function measureResync(lab: Lab, id: string): Promise<MeasuredRow> {
  const from = lab.primary.tail.events.length;
  await lab.killBackupHost();
  const alone = { what: 'the primary to notice', alive: [lab.primary], from };
  await lab.waitFor(lab.primary, isUnprotected, alone);
  const socket = join(lab.primarySide.runFolder, 'bench', 'disks.sock');
  // Single pages, far apart, and a run of 16 MiB.
  const scattered = ['bench', '-f', 'raw', '-w', '--pattern=77', '-c', '2000', '-S', '250000'];
  const run = ['bench', '-f', 'raw', '-w', '--pattern=78', '-c', '16', '-s', `${pieceBytes}`];
  const uri = `nbd+unix:///disk0?socket=${socket}`;
  await promisify(execFile)('qemu-img', [...scattered, uri]);
  await promisify(execFile)('qemu-img', [...run, uri]);
  const [ours, theirs] = [lab.primarySide, lab.backupSide].map((side) => diskPath(side, 0));
  const differingBytes = pageBytes * (await differingPages(ours!, theirs!));
  await lab.startBackup();
  const alive = [lab.primary, lab.backup];
  await lab.waitFor(lab.primary, isProtected, { what: 'the guest to be protected', alive, from });
  const syncs = lab.primaryEvents.filter(isKind('disk-sync'));
  const { sentBytes } = syncs.findLast(({ phase }) => phase === 'done')!;
  const what = 'Sent to a host that returns, over what differs of its disk';
  const note = `${(differingBytes / 2 ** 20).toFixed(1)} MiB differed`;
  return { id, what, unit: 'share', values: [sentBytes / differingBytes], note };
}

async function differingPages(one: string, other: string): Promise<number> {
  const [a, b] = [await open(one), await open(other)];
  try {
    let found = 0;
    const [left, right] = [Buffer.alloc(pieceBytes), Buffer.alloc(pieceBytes)];
    for (let at = 0; ; at += pieceBytes) {
      const { bytesRead } = await a.read(left, 0, pieceBytes, at);
      await b.read(right, 0, pieceBytes, at);
      for (let page = 0; page < bytesRead; page += pageBytes) {
        const end = Math.min(bytesRead, page + pageBytes);
        if (left.compare(right, page, end, page, end) !== 0) found += 1;
      }
      if (bytesRead < pieceBytes) return found;
    }
  } finally {
    await Promise.all([a.close(), b.close()]);
  }
}
