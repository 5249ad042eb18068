import { type BackupConfig, defaults, type PrimaryConfig } from './schema.ts';

/**
 * A host changes roles: a backup that took over protects the guest, a primary that was superseded
 * stands by. What its file does not say of the other role is as by default.
 */

export function toPrimaryConfig(config: BackupConfig): PrimaryConfig {
  const { guest, nats, arbiter, heartbeat, output, log } = config;
  return { ...defaults('primary', guest.name), guest, nats, arbiter, heartbeat, output, log };
}

export function toBackupConfig(config: PrimaryConfig): BackupConfig {
  const { guest, nats, arbiter, heartbeat, output, log } = config;
  return { ...defaults('backup', guest.name), guest, nats, arbiter, heartbeat, output, log };
}
