import {
  mkdtempSync,
  readFileSync,
  rmSync,
  statfsSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { buildLabGuest } from '../../drill/lab-guest/build.ts';
import { runTool } from '../../drill/tools.ts';
import { DiskServer } from '../../shared/disk/disk-server.ts';
import type { UnderstudyError } from '../../shared/errors.ts';
import type { GuestName } from '../../shared/ids.ts';
import { QemuGuest } from '../../shared/qemu/qemu-guest.ts';
import { UndoList } from '../../shared/undo-list.ts';
import { mountTmpfs } from '../tmpfs.ts';

const mib = 2 ** 20;
const deadlineMs = 120_000;

/** A guest whose ext4 file system, with a log that is synced, is on a disk of ours on `folder`. */
async function startGuest(undo: UndoList, below: string, troubles: UnderstudyError[]) {
  const image = join(below, 'disk.raw');
  writeFileSync(image, '');
  truncateSync(image, 128 * mib);
  const options = ['-q', '-F', '-E', 'lazy_itable_init=0,lazy_journal_init=0'];
  const { status, said } = await runTool('mkfs.ext4', [...options, image]);
  if (status !== 0) throw new Error(said);
  const runFolder = mkdtempSync(join(tmpdir(), 'understudy-error-'));
  undo.defer(() => rmSync(runFolder, { recursive: true, force: true }));
  const memoryFolder = join('/dev/shm', basename(runFolder));
  undo.defer(() => rmSync(memoryFolder, { recursive: true, force: true }));
  const server = await DiskServer.start({
    images: [image],
    socketPath: join(runFolder, 'disks.sock'),
    mapFolder: runFolder,
    onDeath: (error) => {
      throw error;
    },
    onTrouble: (error) => troubles.push(error),
  });
  undo.defer(() => server.close());
  server.openToChanges();
  const { kernel, initrd, append } = await buildLabGuest();
  const serialLog = join(runFolder, 'console.log');
  const guest = await QemuGuest.start({
    name: 'error' as GuestName,
    memoryBytes: 256 * mib,
    vcpus: 1,
    accelerator: 'auto',
    kernel,
    initrd,
    append: `${append} ignore_loglevel lab.disk=/dev/vda`,
    disks: [{ path: image, format: 'raw', readonly: false, replicate: true }],
    networks: [],
    serialLog,
    extraArguments: [],
    runFolder,
    memoryFolder,
  });
  undo.defer(async () => {
    await guest.terminate();
    await guest.detach();
  });
  return serialLog;
}

test('an error of the host’s disk is one in the guest’s kernel, and an operator hears of it', async (t) => {
  await UndoList.around(async (undo) => {
    const folder = mkdtempSync(join(tmpdir(), 'understudy-full-'));
    undo.defer(() => rmSync(folder, { recursive: true, force: true }));
    undo.defer(mountTmpfs(folder, '60m'));
    const troubles: UnderstudyError[] = [];
    const serialLog = await startGuest(undo, folder, troubles);
    const deadline = performance.now() + deadlineMs;
    const said = async (what: RegExp) => {
      for (;;) {
        const text = readFileSync(serialLog, 'utf8');
        if (what.test(text)) return;
        if (performance.now() > deadline) throw new Error(`not ${what}, but: ${text}`);
        await sleep(50);
      }
    };
    await said(/LAB READY/);
    t.deepEqual(troubles, []);
    // From now on the host has no room for what the guest's store appends to its log.
    const { bavail, bsize } = statfsSync(folder);
    t.true(bavail > 0);
    try {
      for (let block = 0; block < bavail; block += 256) {
        writeFileSync(join(folder, 'filler'), Buffer.alloc(256 * bsize), { flag: 'a' });
      }
    } catch (error) {
      t.is((error as NodeJS.ErrnoException).code, 'ENOSPC');
    }
    await said(/I\/O error, dev vda.*WRITE/);
    await said(/Aborting journal|EXT4-fs error|LAB FAILED redis ended/);
    while (troubles.length === 0 && performance.now() < deadline) await sleep(10);
    t.is(troubles[0]?.code, 'E_DISK_IO');
    t.regex(troubles[0]!.message, /writing .*disk\.raw failed for the guest.*ENOSPC/);
  });
});
