import { randomUUID } from 'node:crypto';
import { bounds } from '../bounds.ts';
import { subjectsOf } from '../transport/subjects.ts';
import type { DetectorLimits } from './detector.ts';
import type {
  HeartbeatConnection,
  HeartbeatListener,
  HeartbeatThreads,
} from './heartbeat-threads.ts';
import type { ProgressCell } from './progress-cell.ts';
import type { WatchEvent } from './watch.ts';

interface TaskOptions extends HeartbeatConnection, HeartbeatListener {
  readonly threads: HeartbeatThreads;
}

export interface BeaconTaskOptions extends TaskOptions {
  readonly role: 'primary' | 'backup';
  /** The agent's own number, drawn when its role begins. */
  readonly agent: bigint;
  readonly progress: ProgressCell;
  readonly intervalMs?: number;
}

export interface WatchTaskOptions extends TaskOptions {
  /** Whose heartbeats to listen to. */
  readonly peer: 'primary' | 'backup';
  readonly limits?: DetectorLimits;
  /** Called on the main thread. */
  readonly onEvent: (event: WatchEvent) => void;
}

export interface HeartbeatTask {
  stop(): Promise<void>;
}

export interface WatchTask extends HeartbeatTask {
  /** Counts only this agent's heartbeats from now on; undefined counts anybody's. */
  follow(agent: bigint | undefined): void;
  /** Something else than a heartbeat came from the followed agent: it lives. */
  heard(): void;
}

/**
 * Beats from a thread until stopped. Resolves when the first heartbeat is out. Throws as
 * `HeartbeatThreads.begin`.
 */
export async function startBeacon(options: BeaconTaskOptions): Promise<HeartbeatTask> {
  const { threads } = options;
  const subjects = subjectsOf(options.guest);
  const isPrimary = options.role === 'primary';
  const task = {
    role: 'beacon',
    subject: isPrimary ? subjects.heartbeatOfPrimary : subjects.heartbeatOfBackup,
    agent: options.agent,
    progress: options.progress.memory,
    intervalMs: options.intervalMs ?? bounds.heartbeatIntervalMs,
  } as const;
  const thread = await threads.begin(task, options, options);
  return { stop: () => threads.end(thread) };
}

/** Listens from a thread until stopped. Resolves when it listens. Throws as `startBeacon`. */
export async function startWatch(options: WatchTaskOptions): Promise<WatchTask> {
  const { threads } = options;
  const subjects = subjectsOf(options.guest);
  const isPrimary = options.peer === 'primary';
  const { silenceLimitMs: limitMs, wedgedLimitMs: wedgedMs } = bounds;
  const task = {
    role: 'watch',
    subject: isPrimary ? subjects.heartbeatOfPrimary : subjects.heartbeatOfBackup,
    echoSubject: subjects.echo(randomUUID()),
    limits: options.limits ?? { limitMs, wedgedMs },
  } as const;
  const thread = await threads.begin(task, options, options);
  return {
    follow: (agent) => thread.tell({ kind: 'follow', agent }),
    heard: () => thread.tell({ kind: 'heard' }),
    stop: () => threads.end(thread),
  };
}
