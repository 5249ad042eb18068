import { withPresets } from './modes.ts';
import { type BackupConfig, defaults, type PrimaryConfig } from './schema.ts';

/**
 * A host changes roles: a backup that took over protects the guest, a primary that was superseded
 * stands by. What its file does not say of the other role is as by default.
 */

export function toPrimaryConfig(config: BackupConfig): PrimaryConfig {
  const { mode, guest, nats, arbiter, heartbeat, output, log } = config;
  const base = withPresets(defaults('primary', guest.name), mode);
  return { ...base, mode, guest, nats, arbiter, heartbeat, output, log };
}

export function toBackupConfig(config: PrimaryConfig): BackupConfig {
  const { mode, guest, nats, arbiter, heartbeat, output, log } = config;
  const base = withPresets(defaults('backup', guest.name), mode);
  return { ...base, mode, guest, nats, arbiter, heartbeat, output, log };
}
