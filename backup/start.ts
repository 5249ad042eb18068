import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { linkAgent } from '../shared/agent/agent-links.ts';
import { letClientsBeServed } from '../shared/agent/calm.ts';
import type { ControlCommands } from '../shared/agent/control-line.ts';
import type { LastingParts } from '../shared/agent/lasting-parts.ts';
import { monotonicClock } from '../shared/clock.ts';
import type { KnownRam } from '../shared/codec/known-ram.ts';
import { stagingBytesOf } from '../shared/config/derived.ts';
import { toGuestConfig } from '../shared/config/guest-section.ts';
import type { BackupConfig } from '../shared/config/schema.ts';
import { DiskImage } from '../shared/disk/disk-image.ts';
import { isUnderstudyError, UnderstudyError } from '../shared/errors.ts';
import { RamFile } from '../shared/memory/ram-file.ts';
import type { GuestNetwork } from '../shared/net/guest-network.ts';
import type { EmitEvent } from '../shared/observe/events.ts';
import { cableCards } from '../shared/qemu/cable-cards.ts';
import { type GuestConfig, guestPaths } from '../shared/qemu/guest-options.ts';
import { QemuGuest } from '../shared/qemu/qemu-guest.ts';
import { QemuStandby } from '../shared/qemu/qemu-standby.ts';
import { UndoList } from '../shared/undo-list.ts';
import { BackupAgent } from './agent.ts';
import { DiskOrigin } from './disk-origin.ts';
import { InputLog } from './input/input-log.ts';
import { LoggedMark } from './input/logged-mark.ts';
import type { BackupOutcome } from './machine.ts';
import type { BackupParts } from './parts.ts';
import { StandbyNetwork } from './standby-network.ts';
import { DiskReplica } from './store/disk-replica.ts';
import { ReplicaStore } from './store/replica-store.ts';
import { WarmStandby } from './warm-standby.ts';

/** How a backup ended; where it took over, what the primary role goes on with. */
export interface BackupEnd {
  readonly outcome: BackupOutcome;
  readonly network?: GuestNetwork;
  /** RAM as the guest found it. */
  readonly base?: KnownRam;
}

/**
 * Runs a backup as its configuration says: NATS, replica store, standby, heartbeats, then the
 * agent. A guest that an earlier agent resumed here is found again. Undoes what it opened, in
 * reverse; a guest that runs here runs on. `known`: what is in the RAM file, if this process knows.
 */
export async function runBackup(
  config: BackupConfig,
  emit: EmitEvent,
  stop: AbortSignal,
  lasting: LastingParts,
  known?: KnownRam,
): Promise<BackupEnd> {
  return await UndoList.around((undo) => runOpened(config, emit, stop, lasting, undo, known));
}

async function runOpened(
  config: BackupConfig,
  emit: EmitEvent,
  stop: AbortSignal,
  { console, disks, heartbeats }: LastingParts,
  undo: UndoList,
  known: KnownRam | undefined,
): Promise<BackupEnd> {
  const links = await linkAgent(config, emit, stop, undo, heartbeats);
  const { agentId, transport, claims, host, onWarning, progress: cell } = links;
  const guestConfig = toGuestConfig(config.guest);
  const { name } = guestConfig;

  const { memory, isNew } = openMemory(guestConfig);
  undo.defer(() => memory.close());
  const folder = join(guestConfig.memoryFolder, `${name}.replica`);
  const origin = disks && new DiskOrigin(disks);
  const store = await ReplicaStore.open({
    ...{ folder, guest: name },
    memory,
    stagingBytesMax: stagingBytesOf(config),
    disks: openReplica(config, origin),
    known: isNew ? undefined : known,
  });
  undo.defer(() => store.close());
  if (store.problem !== null) onWarning(store.problem);
  if (await guestRunsHere(store, guestConfig)) return { outcome: { kind: 'took-over' } };
  disks?.refuseChanges();
  const startStandby = () => QemuStandby.start(guestConfig);
  const standby = await WarmStandby.start(startStandby, monotonicClock, emit);
  undo.defer(() => standby.discard());
  const network = await StandbyNetwork.open({
    ...{ cards: cableCards(guestConfig), clock: monotonicClock, emit, onWarning },
  });
  undo.defer(() => network.close());

  const peer = await links.startHeartbeats(config.heartbeat.limitMs);
  const close = console.open({
    ...{ role: config.role, claims, host, peer, commands: commandsOfBackup },
    heartbeatLimitMs: config.heartbeat.limitMs,
    facts: () => ({
      runsHere: false,
      heldSession: store.holds()?.session ?? null,
      takeoverEnabled: config.takeover.enabled,
    }),
  });
  undo.defer(close);

  const progress: BackupParts['progress'] = {
    show: (activity) => {
      cell.activity = activity;
    },
    acked: (epoch) => {
      cell.acked = epoch;
    },
  };
  const inputLog = new InputLog(config.output.inputLog.bytesMax, onWarning);
  const { outcome, guest, base } = await new BackupAgent({
    ...{ guestName: name, store, standby, transport, clock: monotonicClock, emit, agentId },
    ...{ claims, host, progress, peer, network, inputLog, disks, origin },
    loggedMark: new LoggedMark(join(folder, 'input-logged')),
    settings: {
      takeoverEnabled: config.takeover.enabled,
      verifyAtTakeover: config.verify.atTakeover,
      speaksAlone: config.guest.networks.some(({ kind }) => kind === 'user'),
    },
  }).run(stop);
  if (outcome.kind === 'took-over') await letClientsBeServed(stop);
  await guest?.detach();
  if (outcome.kind !== 'took-over') return { outcome };
  return { outcome, network: network.handOn(), ...(base === undefined ? {} : { base }) };
}

/** The images of replicated disks: their server has locked them already. */
function openReplica(
  config: BackupConfig,
  origin: DiskOrigin | undefined,
): DiskReplica | undefined {
  const { disks, stateFolder, name } = config.guest;
  const paths = disks.filter(({ replicate }) => replicate).map(({ path }) => path);
  if (paths.length === 0) return undefined;
  return new DiskReplica({
    folder: join(stateFolder, name, 'disk-journal'),
    images: paths.map((path) => DiskImage.open(path, true, false)),
    journalBytesMax: config.staging.diskJournal,
    willChange: async (inPlace) => await origin?.willChange(inPlace),
  });
}

/** The RAM file of an earlier run is kept: what it holds need not be sent again. */
function openMemory(config: GuestConfig): { readonly memory: RamFile; readonly isNew: boolean } {
  const { ram } = guestPaths(config);
  mkdirSync(config.memoryFolder, { recursive: true, mode: 0o700 });
  try {
    return { memory: RamFile.open(ram, config.memoryBytes), isNew: false };
  } catch (error) {
    if (!isUnderstudyError(error, 'E_MEMORY_FILE')) throw error;
    return { memory: RamFile.create(ram, config.memoryBytes), isNew: true };
  }
}

/** True where an agent that is gone loaded or resumed the guest here, and its QEMU is still there. */
async function guestRunsHere(store: ReplicaStore, config: GuestConfig): Promise<boolean> {
  if (store.takenOver() === null) return false;
  try {
    const { guest } = await QemuGuest.adopt(config);
    await guest.detach();
    store.letRun();
    return true;
  } catch (error) {
    if (!isUnderstudyError(error, 'E_GUEST_NOT_RUNNING')) throw error;
    await store.reclaim('earlier');
    return false;
  }
}

/** The guest's own side answers for it: it holds the term. */
const notHere = async (): Promise<never> => {
  throw new UnderstudyError('E_NOT_PRIMARY', 'the guest does not run on this host', {
    hint: 'Give the command on the host that runs it; the backup hears of it by itself.',
  });
};
const commandsOfBackup: ControlCommands = {
  pause: notHere,
  resume: notHere,
  'go-on': notHere,
  switchover: notHere,
  verify: notHere,
};
