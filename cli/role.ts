import { join } from 'node:path';
import { runBackup } from '../backup/start.ts';
import { runPrimary } from '../primary/start.ts';
import { AgentConsole } from '../shared/agent/agent-console.ts';
import { ControlSocket } from '../shared/agent/control-socket.ts';
import type { LastingParts } from '../shared/agent/lasting-parts.ts';
import type { KnownRam } from '../shared/codec/known-ram.ts';
import { toBackupConfig, toPrimaryConfig } from '../shared/config/other-role.ts';
import type { BackupConfig, PrimaryConfig } from '../shared/config/schema.ts';
import type { DiskServer } from '../shared/disk/disk-server.ts';
import { HeartbeatThreads } from '../shared/heartbeat/heartbeat-threads.ts';
import type { GuestNetwork } from '../shared/net/guest-network.ts';
import type { EmitEvent } from '../shared/observe/events.ts';
import type { Observer } from '../shared/observe/observer.ts';
import { exitCode } from './exit-code.ts';
import { serveDisks } from './guest-disks.ts';

/**
 * The one loop that gives a process its role. It starts with the role of its file; a backup that
 * took over is the primary from then on, and a primary that the record of terms has passed by
 * stands by for whoever holds it. Its operator is heard through all of them, on one socket.
 * Returns the exit status.
 */
export async function runRole(
  config: PrimaryConfig | BackupConfig,
  observer: Observer,
  stop: AbortSignal,
): Promise<number> {
  const { name, runFolder } = config.guest;
  const console = new AgentConsole(name);
  const unsubscribe = observer.subscribe((event) => console.note(event));
  const socket = await ControlSocket.listen(join(runFolder, name), (line) => console.answer(line));
  const heartbeats = new HeartbeatThreads();
  let disks: DiskServer | undefined;
  try {
    disks = await serveDisks(config, observer.emit);
    return await changeRoles(config, observer.emit, stop, { console, heartbeats, disks });
  } finally {
    await heartbeats.close();
    await disks?.close();
    await socket.close();
    unsubscribe();
  }
}

async function changeRoles(
  config: PrimaryConfig | BackupConfig,
  emit: EmitEvent,
  stop: AbortSignal,
  lasting: LastingParts,
): Promise<number> {
  let next = config;
  let handedOn: HandedOn = {};
  for (;;) {
    const end: RoleEnd =
      next.role === 'primary'
        ? await runAsPrimary(next, emit, stop, lasting, handedOn)
        : await runAsBackup(next, emit, stop, lasting, handedOn);
    if (typeof end === 'number') return end;
    handedOn = end;
    if (stop.aborted) {
      await handedOn.network?.close();
      return exitCode.ok;
    }
    next = next.role === 'primary' ? toBackupConfig(next) : toPrimaryConfig(next);
  }
}

/** An exit status, or another role. */
type RoleEnd = number | HandedOn;

/** What one role leaves to the next in the same process. */
interface HandedOn {
  /** Of the guest that was taken over. */
  readonly network?: GuestNetwork | undefined;
  /** RAM that a guest has gone on from: the other host's, or ours. */
  readonly ram?: KnownRam | undefined;
}

async function runAsPrimary(
  config: PrimaryConfig,
  emit: EmitEvent,
  stop: AbortSignal,
  lasting: LastingParts,
  { network, ram: base }: HandedOn,
): Promise<RoleEnd> {
  const takenOver = { network, base };
  const { outcome, known } = await runPrimary(config, emit, stop, lasting, takenOver);
  switch (outcome.kind) {
    case 'released':
      if (lasting.disks !== undefined) emit({ kind: 'warning', ...disksWait });
      return exitCode.ok;
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
      // A switchover is told by the transition.
      if (outcome.planned) return { ram: known };
      emit({
        kind: 'warning',
        code: 'E_SUPERSEDED',
        message: `this host does not run the guest: ${outcome.by}`,
        hint: 'It stands by as the backup from now on; nothing has to be done.',
      });
      return { ram: known };
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
  lasting: LastingParts,
  { ram }: HandedOn,
): Promise<RoleEnd> {
  const { outcome, network, base } = await runBackup(config, emit, stop, lasting, ram);
  switch (outcome.kind) {
    case 'took-over':
      return { network, ram: base };
    case 'released':
      return exitCode.ok;
    case 'takeover-failed':
      return exitCode.failed;
  }
}

const disksWait = {
  code: 'E_DISKS_WAIT',
  message: 'the guest runs on, and waits for its replicated disks until an agent is back',
  hint: 'Start the agent again soon: it serves them. To end the guest, shut it down first.',
};
