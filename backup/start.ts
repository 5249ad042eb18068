import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { openClaims } from '../shared/arbiter/open-claims.ts';
import { bounds } from '../shared/bounds.ts';
import { monotonicClock } from '../shared/clock.ts';
import { stagingBytesOf } from '../shared/config/derived.ts';
import { toGuestConfig } from '../shared/config/guest-section.ts';
import { toNatsSettings } from '../shared/config/nats-section.ts';
import type { BackupConfig } from '../shared/config/schema.ts';
import { isUnderstudyError, type UnderstudyError } from '../shared/errors.ts';
import { startBeacon } from '../shared/heartbeat/heartbeat-thread.ts';
import { PeerWatchThread } from '../shared/heartbeat/peer-watch.ts';
import { ProgressCell } from '../shared/heartbeat/progress-cell.ts';
import type { GuestName } from '../shared/ids.ts';
import { RamFile } from '../shared/memory/ram-file.ts';
import type { EmitEvent } from '../shared/observe/events.ts';
import { type GuestConfig, guestPaths } from '../shared/qemu/guest-options.ts';
import { QemuGuest } from '../shared/qemu/qemu-guest.ts';
import { QemuStandby } from '../shared/qemu/qemu-standby.ts';
import { connectNats } from '../shared/transport/nats-transport.ts';
import { UndoList } from '../shared/undo-list.ts';
import { BackupAgent, type BackupParts } from './agent.ts';
import type { BackupOutcome } from './machine.ts';
import { ReplicaStore } from './store/replica-store.ts';
import { WarmStandby } from './warm-standby.ts';

/**
 * Runs a backup as its configuration says: NATS, replica store, standby, heartbeats, then the
 * agent. A guest that an earlier agent resumed here is found again. Undoes what it opened, in
 * reverse; a guest that runs here runs on.
 */
export async function runBackup(
  config: BackupConfig,
  emit: EmitEvent,
  stop: AbortSignal,
): Promise<BackupOutcome> {
  const open = new UndoList();
  try {
    return await runOpened(config, emit, stop, open);
  } finally {
    await open.run();
  }
}

async function runOpened(
  config: BackupConfig,
  emit: EmitEvent,
  stop: AbortSignal,
  open: UndoList,
): Promise<BackupOutcome> {
  const agentId = randomBytes(8).toString('hex');
  const guestConfig = toGuestConfig(config.guest);
  const name = guestConfig.name;
  const nats = toNatsSettings(config.nats, `understudy backup of ${name}`);
  const onWarning = ({ code, message, hint }: UnderstudyError) =>
    emit({ kind: 'warning', code, message, hint });
  const { connectDeadlineMs } = config.nats;
  const transport = await connectNats(nats, {
    deadlineMs: connectDeadlineMs,
    onWarning,
    signal: stop,
  });
  open.defer(() => transport.close());

  const arbiterNats = toNatsSettings(config.nats, `understudy terms of ${name}`);
  const arbiterTransport = await connectNats(arbiterNats, { deadlineMs: null, signal: stop });
  open.defer(() => arbiterTransport.close());
  const { claims } = await openClaims({
    transport: arbiterTransport,
    guest: name,
    stateFolder: join(config.guest.stateFolder, name),
    replicas: config.arbiter.replicas,
    onWaiting: onWarning,
  });

  const memory = openMemory(guestConfig);
  open.defer(() => memory.close());
  const store = await ReplicaStore.open({
    folder: join(guestConfig.memoryFolder, `${name}.replica`),
    guest: name as GuestName,
    memory,
    stagingBytesMax: stagingBytesOf(config),
  });
  open.defer(() => store.close());
  if (store.problem !== null) onWarning(store.problem);
  if (await guestRunsHere(store, guestConfig)) return { kind: 'took-over' };
  const startStandby = () => QemuStandby.start(guestConfig);
  const standby = await WarmStandby.start(startStandby, monotonicClock, emit);
  open.defer(() => standby.discard());

  const cell = new ProgressCell();
  const onDeath = (error: UnderstudyError) => {
    throw error;
  };
  const thread = { nats, guest: name, onWarning, onDeath, connectDeadlineMs };
  const { limitMs, intervalMs } = config.heartbeat;
  const limits = { limitMs, wedgedMs: bounds.wedgedLimitMs };
  const peer = await PeerWatchThread.start({ ...thread, peer: 'primary', limits }, emit);
  open.defer(() => peer.stop());
  const agent = BigInt(`0x${agentId}`);
  const beacon = await startBeacon({
    ...thread,
    role: 'backup',
    agent,
    progress: cell,
    intervalMs,
  });
  open.defer(() => beacon.stop());

  const progress: BackupParts['progress'] = {
    show: (activity) => {
      cell.activity = activity;
    },
    acked: (epoch) => {
      cell.acked = epoch;
    },
  };
  const { outcome, guest } = await new BackupAgent({
    ...{ guestName: name, store, standby, transport, clock: monotonicClock, emit, agentId },
    ...{ claims, progress, peer },
    settings: {
      takeoverEnabled: config.takeover.enabled,
      verifyAtTakeover: config.verify.atTakeover,
    },
  }).run(stop);
  await guest?.detach();
  return outcome;
}

/** The RAM file of an earlier run is kept: what it holds need not be sent again. */
function openMemory(config: GuestConfig): RamFile {
  const { ram } = guestPaths(config);
  mkdirSync(config.memoryFolder, { recursive: true, mode: 0o700 });
  try {
    return RamFile.open(ram, config.memoryBytes);
  } catch (error) {
    if (!isUnderstudyError(error, 'E_MEMORY_FILE')) throw error;
    return RamFile.create(ram, config.memoryBytes);
  }
}

/** True where an agent that is gone resumed the guest here and it still runs. */
async function guestRunsHere(store: ReplicaStore, config: GuestConfig): Promise<boolean> {
  if (store.takenOver() === null) return false;
  try {
    await (await QemuGuest.adopt(config)).detach();
    return true;
  } catch (error) {
    if (!isUnderstudyError(error, 'E_GUEST_NOT_RUNNING')) throw error;
    // It ended, or never ran: its RAM is a base to compare digests with.
    await store.reclaim();
    return false;
  }
}
