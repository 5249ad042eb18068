import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { toGuestConfig } from '../shared/config/guest-section.ts';
import type { BackupConfig, PrimaryConfig } from '../shared/config/schema.ts';
import { DiskServer } from '../shared/disk/disk-server.ts';
import type { EmitEvent } from '../shared/observe/events.ts';
import { guestPaths } from '../shared/qemu/guest-options.ts';

/**
 * Serves the guest's replicated disks to whichever QEMU of it runs on this host, through all
 * roles; undefined where it has none. Throws `E_DISK_UNAVAILABLE`, `E_DISK_LOCKED`.
 */
export async function serveDisks(
  config: PrimaryConfig | BackupConfig,
  emit: EmitEvent,
): Promise<DiskServer | undefined> {
  const replicated = config.guest.disks.filter(({ replicate }) => replicate);
  if (replicated.length === 0) return undefined;
  const { folder, disks: socketPath } = guestPaths(toGuestConfig(config.guest));
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return await DiskServer.start({
    images: replicated.map(({ path }) => path),
    socketPath,
    mapFolder: join(config.guest.stateFolder, config.guest.name),
    // As any fault of ours, it ends the process; the guest waits for its disks meanwhile.
    onDeath: (error) => {
      throw error;
    },
    onTrouble: ({ code, message, hint }) => emit({ kind: 'warning', code, message, hint }),
  });
}
