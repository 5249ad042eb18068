import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { openClaims } from '../arbiter/open-claims.ts';
import type { TermClaims } from '../arbiter/term-claims.ts';
import { bounds } from '../bounds.ts';
import { toNatsSettings } from '../config/nats-section.ts';
import type { BackupConfig, PrimaryConfig } from '../config/schema.ts';
import type { UnderstudyError } from '../errors.ts';
import { startBeacon } from '../heartbeat/heartbeat-tasks.ts';
import type { HeartbeatThreads } from '../heartbeat/heartbeat-threads.ts';
import { PeerWatchThread } from '../heartbeat/peer-watch.ts';
import { ProgressCell } from '../heartbeat/progress-cell.ts';
import type { GuestName } from '../ids.ts';
import type { EmitEvent } from '../observe/events.ts';
import { connectNats } from '../transport/nats-transport.ts';
import type { Transport } from '../transport/transport.ts';
import type { UndoList } from '../undo-list.ts';

/** What ties an agent to its peer and to the record, whichever role it has. */
export interface AgentLinks {
  /** 16 hex digits, drawn when the role begins. */
  readonly agentId: string;
  readonly transport: Transport;
  readonly claims: TermClaims;
  /** As terms call this host: 16 hex digits. */
  readonly host: string;
  /** What the heartbeats say. */
  readonly progress: ProgressCell;
  /** Warns of what an agent survives. */
  readonly onWarning: (error: UnderstudyError) => void;
  /** Beats from now on, and listens for the peer, which is silent after `limitMs`. */
  startHeartbeats(limitMs: number): Promise<PeerWatchThread>;
}

/**
 * Connects a role as its configuration says: one connection for data and control, one for the
 * record of terms, two of `threads` for heartbeats once the role asks for them. `undo` gives it
 * all back. Throws `E_NATS_…`, `E_CONFIG_SECRET`, and as `openClaims` does.
 */
export async function linkAgent(
  config: PrimaryConfig | BackupConfig,
  emit: EmitEvent,
  stop: AbortSignal,
  undo: UndoList,
  threads: HeartbeatThreads,
): Promise<AgentLinks> {
  const { role } = config;
  const guest = config.guest.name as GuestName;
  const agentId = randomBytes(8).toString('hex');
  const onWarning = ({ code, message, hint }: UnderstudyError) =>
    emit({ kind: 'warning', code, message, hint });
  const { connectDeadlineMs } = config.nats;

  const nats = toNatsSettings(config.nats, guest, `understudy ${role} of ${guest}`);
  const transport = await connectNats(nats, {
    deadlineMs: connectDeadlineMs,
    ...{ onWarning, signal: stop },
  });
  undo.defer(() => transport.close());

  const arbiterNats = toNatsSettings(config.nats, guest, `understudy terms of ${guest}`);
  const arbiterTransport = await connectNats(arbiterNats, { deadlineMs: null, signal: stop });
  undo.defer(() => arbiterTransport.close());
  const { claims, host } = await openClaims({
    ...{ transport: arbiterTransport, guest, replicas: config.arbiter.replicas },
    stateFolder: join(config.guest.stateFolder, guest),
    ...{ onWarning, signal: stop, patienceMs: connectDeadlineMs },
  });

  const progress = new ProgressCell();
  const onDeath = (error: UnderstudyError) => {
    throw error;
  };
  // They say the same of themselves in every role: a connection outlives one.
  const beatNats = toNatsSettings(config.nats, guest, `understudy heartbeats of ${guest}`);
  const thread = { threads, nats: beatNats, guest, onWarning, onDeath, connectDeadlineMs };
  const startHeartbeats = async (limitMs: number): Promise<PeerWatchThread> => {
    const peer = role === 'primary' ? 'backup' : 'primary';
    const limits = { limitMs, wedgedMs: bounds.wedgedLimitMs };
    const watch = await PeerWatchThread.start({ ...thread, peer, limits }, emit);
    undo.defer(() => watch.stop());
    const agent = BigInt(`0x${agentId}`);
    const { intervalMs } = config.heartbeat;
    const beacon = await startBeacon({ ...thread, role, agent, progress, intervalMs });
    undo.defer(() => beacon.stop());
    return watch;
  };
  return { agentId, transport, claims, host, progress, onWarning, startHeartbeats };
}
