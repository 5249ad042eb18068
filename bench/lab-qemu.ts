import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { buildLabGuest } from '../drill/lab-guest/build.ts';
import type { GuestName } from '../shared/ids.ts';
import { QemuGuest } from '../shared/qemu/qemu-guest.ts';
import { guestReady } from './guest-ready.ts';

/** After its last word at boot the guest needs a moment to come to rest. */
const settleMs = 2000;

/** The lab guest in a QEMU of its own, without agents. `use` may do with it what it wants. */
export async function withLabQemu<T>(
  options: { readonly memoryBytes: number; readonly load: string },
  use: (guest: QemuGuest) => Promise<T>,
): Promise<T> {
  const labGuest = await buildLabGuest();
  const runFolder = await mkdtemp(join(tmpdir(), 'understudy-bench-'));
  const memoryFolder = join('/dev/shm', basename(runFolder));
  const serialLog = join(runFolder, 'console.log');
  let guest: QemuGuest | undefined;
  try {
    guest = await QemuGuest.start({
      name: 'bench' as GuestName,
      memoryBytes: options.memoryBytes,
      vcpus: 1,
      accelerator: 'auto',
      kernel: labGuest.kernel,
      initrd: labGuest.initrd,
      append: `${labGuest.append} ${options.load}`,
      disks: [],
      networks: [],
      serialLog,
      extraArguments: [],
      runFolder,
      memoryFolder,
    });
    await guestReady(serialLog);
    await sleep(settleMs);
    return await use(guest);
  } finally {
    await guest?.terminate();
    await guest?.detach();
    await rm(runFolder, { recursive: true, force: true });
    await rm(memoryFolder, { recursive: true, force: true });
  }
}
