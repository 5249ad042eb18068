import { runBackup } from '../backup/start.ts';
import { runPrimary } from '../primary/start.ts';
import { toBackupConfig, toPrimaryConfig } from '../shared/config/other-role.ts';
import type { BackupConfig, PrimaryConfig } from '../shared/config/schema.ts';
import type { EmitEvent } from '../shared/observe/events.ts';
import type { Observer } from '../shared/observe/observer.ts';
import { exitCode } from './exit-code.ts';

/**
 * The one loop that gives a process its role. It starts with the role of its file; a backup that
 * took over is the primary from then on, and a primary that the record of terms has passed by
 * stands by for whoever holds it. Returns the exit status.
 */
export async function runRole(
  config: PrimaryConfig | BackupConfig,
  observer: Observer,
  stop: AbortSignal,
): Promise<number> {
  const { emit } = observer;
  let next = config;
  for (;;) {
    const end =
      next.role === 'primary'
        ? await runAsPrimary(next, emit, stop)
        : await runAsBackup(next, emit, stop);
    if (end !== 'change-role' || stop.aborted) return end === 'change-role' ? exitCode.ok : end;
    next = next.role === 'primary' ? toBackupConfig(next) : toPrimaryConfig(next);
  }
}

async function runAsPrimary(
  config: PrimaryConfig,
  emit: EmitEvent,
  stop: AbortSignal,
): Promise<number | 'change-role'> {
  const outcome = await runPrimary(config, emit, stop);
  switch (outcome.kind) {
    case 'released':
    case 'guest-ended':
      return exitCode.ok;
    case 'guest-lost':
      emit({
        kind: 'error',
        code: 'E_GUEST_GONE',
        message: `the guest's QEMU ended: ${outcome.reason}`,
        hint: 'The backup takes over. See qemu.log in the run folder for why it ended.',
      });
      return exitCode.failed;
    case 'superseded':
      emit({
        kind: 'warning',
        code: 'E_SUPERSEDED',
        message: `this host does not run the guest: ${outcome.by}`,
        hint: 'It stands by as the backup from now on; nothing has to be done.',
      });
      return 'change-role';
    case 'refused': {
      const { code, message, hint } = outcome;
      emit({ kind: 'error', code, message, hint });
      return exitCode.failed;
    }
  }
}

async function runAsBackup(
  config: BackupConfig,
  emit: EmitEvent,
  stop: AbortSignal,
): Promise<number | 'change-role'> {
  const outcome = await runBackup(config, emit, stop);
  switch (outcome.kind) {
    case 'took-over':
      return 'change-role';
    case 'released':
      return exitCode.ok;
    case 'takeover-failed':
      return exitCode.failed;
  }
}
