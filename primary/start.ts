import { randomBytes } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { linkAgent } from '../shared/agent/agent-links.ts';
import { letClientsBeServed } from '../shared/agent/calm.ts';
import type { LastingParts } from '../shared/agent/lasting-parts.ts';
import type { TermClaims } from '../shared/arbiter/term-claims.ts';
import { bounds } from '../shared/bounds.ts';
import { monotonicClock } from '../shared/clock.ts';
import { secretBytes } from '../shared/codec/codec-settings.ts';
import type { KnownRam } from '../shared/codec/known-ram.ts';
import { chunkBytesOf, paceOf, strongestCodecOf } from '../shared/config/derived.ts';
import { toGuestConfig } from '../shared/config/guest-section.ts';
import type { PrimaryConfig } from '../shared/config/schema.ts';
import type { DiskServer } from '../shared/disk/disk-server.ts';
import { isUnderstudyError } from '../shared/errors.ts';
import type { Guest } from '../shared/guest/guest.ts';
import type { GuestNetwork } from '../shared/net/guest-network.ts';
import type { EmitEvent } from '../shared/observe/events.ts';
import type { GuestConfig } from '../shared/qemu/guest-options.ts';
import { type AdoptedGuest, QemuGuest } from '../shared/qemu/qemu-guest.ts';
import { UndoList } from '../shared/undo-list.ts';
import { PrimaryAgent } from './agent.ts';
import { chooseTracker } from './capture/choose.ts';
import type { PrimaryOutcome } from './machine.ts';
import { OperatorCommands } from './operator-commands.ts';
import { openCable } from './output/open-cable.ts';
import { type PauseListener, readableGuest } from './output/readable-guest.ts';
import type { GuestOutput, PrimarySettings } from './parts.ts';
import { SessionEncoders } from './session-encoders.ts';
import { whoForbidsStart } from './term-holder.ts';

/**
 * A backup that is lost costs protection only, and finding it again costs a pass over RAM: the
 * primary waits for so many limits where the backup waits for one, or for so long.
 */
const backupPatience = 5;
const backupPatienceMsMax = 10_000;

/** How a primary ended. */
export interface PrimaryEnd {
  readonly outcome: PrimaryOutcome;
  /** What is in the RAM file, where the backup went on from that very RAM. */
  readonly known?: KnownRam | undefined;
}

/** What a process that has just taken the guest over goes on with. */
export interface TakenOver {
  readonly network?: GuestNetwork | undefined;
  /** RAM as the guest found it. */
  readonly base?: KnownRam | undefined;
}

/**
 * Runs a primary as its configuration says: NATS, the guest (started, or found running), tracker,
 * heartbeats, then the agent. Undoes what it opened, in reverse; the guest runs on. The network of a
 * guest that this process has taken over passes frames all the while.
 */
export async function runPrimary(
  config: PrimaryConfig,
  emit: EmitEvent,
  stop: AbortSignal,
  lasting: LastingParts,
  takenOver: TakenOver = {},
): Promise<PrimaryEnd> {
  return await UndoList.around((undo) => runOpened(config, emit, stop, lasting, undo, takenOver));
}

async function runOpened(
  config: PrimaryConfig,
  emit: EmitEvent,
  stop: AbortSignal,
  { console, disks, heartbeats }: LastingParts,
  undo: UndoList,
  { network, base }: TakenOver,
): Promise<PrimaryEnd> {
  if (network !== undefined) undo.defer(() => network.close());
  const links = await linkAgent(config, emit, stop, undo, heartbeats);
  const { agentId, transport, claims, host, onWarning, progress: cell } = links;
  const opened = await openGuest(toGuestConfig(config.guest), claims, host, emit, stop);
  if ('by' in opened) return { outcome: { kind: 'superseded', by: opened.by, planned: false } };
  const { guest, found } = opened;
  disks?.openToChanges();
  undo.defer(() => guest.detach());
  const { tracker, why } = chooseTracker(config.tracker, guest.tracked, scanOf(config));
  undo.defer(() => tracker.close());
  emit({ kind: 'tracker', tracker: tracker.kind, why });

  cell.activity = 'starting';
  const { limitMs } = config.heartbeat;
  const watch = await links.startHeartbeats(
    Math.max(limitMs, Math.min(limitMs * backupPatience, backupPatienceMsMax)),
  );

  const chunkBytes = chunkBytesOf(config, transport.payloadBytesMax);
  const encoders = new SessionEncoders(config, guest.memory, chunkBytes);
  undo.defer(() => encoders.close());
  // A guest that was adopted may speak as soon as its cable is open: there is no agent yet then, and
  // nothing that it could do but hold what is said.
  let listener: PrimaryAgent | undefined;
  const cable = await openCable(config, {
    ...{ network, onWarning },
    onCheckpointWanted: () => listener?.checkpointSoon(),
    onOutputWaits: () => listener?.outputWaits(),
  });
  if (cable !== undefined && network === undefined) undo.defer(() => cable.close());
  const agentOfGuest = new PrimaryAgent({
    guest: heardGuest(guest, cable, disks),
    ...{ tracker, transport, clock: monotonicClock, randomBytes, emit, agentId, claims, host },
    output: cable ?? noCable,
    inputLog: cable?.inputLog,
    handover: cable,
    disks: disks && {
      ...{ server: disks, frameBytes: chunkBytes, bytesPerSecond: config.flow.diskSyncRate },
    },
    found,
    base: tracker.knowsFromStart === true && found !== 'new' ? base : undefined,
    guestPid: guest.pid,
    settings: settingsOf(config),
    codecs: encoders.codecs,
    openEncoder: (secret, onFailed) => encoders.open(secret, onFailed),
    progress: {
      show: (activity) => {
        cell.activity = activity;
      },
      captured: (epoch) => {
        cell.captured = epoch;
      },
      acked: (epoch) => {
        cell.acked = epoch;
      },
    },
    backup: watch,
    discardHeldGuest: () => guest.terminate(),
  });
  listener = agentOfGuest;
  const operated = new OperatorCommands(agentOfGuest);
  const close = console.open({
    ...{ role: config.role, claims, host, peer: watch, commands: operated.table },
    note: (event) => operated.note(event),
    heartbeatLimitMs: config.heartbeat.limitMs,
    facts: () => ({
      ...{ runsHere: agentOfGuest.guestRuns, heldSession: null, takeoverEnabled: false },
      outputRule: cable === undefined ? null : config.output.rule,
    }),
  });
  undo.defer(close);
  const { disksEveryMinutes } = config.verify;
  if (disksEveryMinutes > 0 && disks !== undefined) {
    undo.defer(
      monotonicClock.every(disksEveryMinutes * 60_000, () => {
        // An unprotected guest has nothing to be compared with; the outcome is an event.
        agentOfGuest.verify().catch((error: unknown) => {
          if (!isUnderstudyError(error)) throw error;
        });
      }),
    );
  }
  const outcome = await agentOfGuest.run(stop);
  if (outcome.kind !== 'superseded') return { outcome };
  // It was stopped, and is old: what its RAM file holds is all that is still of use.
  disks?.refuseChanges();
  const known = (await guest.freeze()) ? agentOfGuest.ramAsLeft() : undefined;
  // To end a QEMU and to start the next one wants both cores of a small host, which may be the
  // other one's as well; frozen, it does nothing.
  if (outcome.planned) await letClientsBeServed(stop);
  await guest.terminate();
  return { outcome, known };
}

/** The guest reaches the world by QEMU's own network: this agent is not its way there. */
const noCable: GuestOutput = {
  hold: () => {},
  barrier: () => {},
  acknowledged: () => {},
  sessionEnded: () => {},
  releaseAll: () => {},
  drop: () => {},
};

/**
 * A guest that runs already is protected as it is. Otherwise one is started, vCPUs held, unless
 * the record says that another host runs it or may resume it: starting one would wipe the RAM file.
 */
async function openGuest(
  config: GuestConfig,
  claims: TermClaims,
  host: string,
  emit: EmitEvent,
  stop: AbortSignal,
): Promise<AdoptedGuest | { by: string }> {
  try {
    const adopted = await QemuGuest.adopt(config);
    const { pid } = adopted.guest;
    emit({ kind: 'guest', change: 'adopted', pid });
    if (adopted.found === 'stopped') emit({ kind: 'guest', change: 'stopped', pid });
    return adopted;
  } catch (error) {
    if (!isUnderstudyError(error, 'E_GUEST_NOT_RUNNING')) throw error;
  }
  const latest = await claims.latest(stop);
  const by = whoForbidsStart(latest, host);
  if (by !== undefined) return { by };
  const guest = await QemuGuest.start(config, { paused: true });
  emit({ kind: 'guest', change: 'started', pid: guest.pid });
  return { guest, found: 'new' };
}

/** The guest, whose pauses are heard by what must help it to stand still. */
function heardGuest(
  guest: QemuGuest,
  cable: PauseListener | undefined,
  disks: DiskServer | undefined,
): Guest {
  if (cable === undefined && disks === undefined) return guest;
  return readableGuest(guest, {
    pausing: () => {
      cable?.pausing();
      // QEMU flushes its disks when it stops: a sync of the host's disk would sit in the pause.
      disks?.guestStops();
    },
    resumed: () => {
      disks?.guestRuns();
      cable?.resumed();
    },
  });
}

/** What the `scan` tracker compares pages by; its secret is its own. */
function scanOf(config: PrimaryConfig): Parameters<typeof chooseTracker>[2] {
  const { hash, blockBytes } = config.identify;
  const secret = randomBytes(secretBytes);
  // Neither the guest, in the pause, nor this thread takes a core meanwhile.
  const threads = Math.min(bounds.encoderThreadsMax, availableParallelism());
  return { hash: { blockBytes, hash, secret }, threads };
}

function settingsOf(config: PrimaryConfig): PrimarySettings {
  return {
    pace: paceOf(config),
    windowBytes: config.flow.window,
    hash: config.identify.hash,
    blockBytes: config.identify.blockBytes,
    generalCodec: strongestCodecOf(config),
    baselineEveryEpochs: config.baseline.refreshEpochs,
    verifyEveryEpochs: config.verify.everyEpochs,
    onBackupLost: config.output.onBackupLost,
    liveRounds: config.epoch.liveRounds,
  };
}
