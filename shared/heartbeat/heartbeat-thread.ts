import { randomUUID } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import { bounds } from '../bounds.ts';
import { UnderstudyError } from '../errors.ts';
import type { GuestName } from '../ids.ts';
import type { NatsSettings } from '../transport/nats-transport.ts';
import { subjectsOf } from '../transport/subjects.ts';
import { guestHash } from '../wire/frame.ts';
import type { DetectorLimits } from './detector.ts';
import type { ProgressCell } from './progress-cell.ts';
import type { WatchEvent } from './watch.ts';
import type { FromWorker, PlainError, RoleTask, ToWorker, WorkerTask } from './worker-message.ts';

interface ThreadOptions {
  readonly nats: NatsSettings;
  readonly guest: GuestName;
  /** What NATS complains about. */
  readonly onWarning?: (warning: UnderstudyError) => void;
  /** The worker died: `E_HEARTBEAT_WORKER`. */
  readonly onDeath: (error: UnderstudyError) => void;
  /** How long NATS is waited for; `null`: for ever. */
  readonly connectDeadlineMs?: number | null;
}

export interface BeaconThreadOptions extends ThreadOptions {
  readonly role: 'primary' | 'backup';
  /** The agent's own number, drawn when its process starts. */
  readonly agent: bigint;
  readonly progress: ProgressCell;
  readonly intervalMs?: number;
}

export interface WatchThreadOptions extends ThreadOptions {
  /** Whose heartbeats to listen to. */
  readonly peer: 'primary' | 'backup';
  readonly limits?: DetectorLimits;
  /** Called on the main thread. */
  readonly onEvent: (event: WatchEvent) => void;
}

export interface HeartbeatThread {
  stop(): Promise<void>;
}

export interface WatchThread extends HeartbeatThread {
  /** Counts only this agent's heartbeats from now on; undefined counts anybody's. */
  follow(agent: bigint | undefined): void;
  /** Something else than a heartbeat came from the followed agent: it lives. */
  heard(): void;
}

/**
 * Beats from a worker until stopped. Resolves when the first heartbeat is out.
 * Throws `E_NATS_…` as `connectNats` does, `E_HEARTBEAT_WORKER`.
 */
export async function startBeacon(options: BeaconThreadOptions): Promise<HeartbeatThread> {
  const subjects = subjectsOf(options.guest);
  const isPrimary = options.role === 'primary';
  const thread = new Thread(options, undefined, {
    role: 'beacon',
    subject: isPrimary ? subjects.heartbeatOfPrimary : subjects.heartbeatOfBackup,
    agent: options.agent,
    progress: options.progress.memory,
    intervalMs: options.intervalMs ?? bounds.heartbeatIntervalMs,
  });
  await thread.ready();
  return thread;
}

/** Listens from a worker until stopped. Resolves when it listens. Throws as `startBeacon`. */
export async function startWatch(options: WatchThreadOptions): Promise<WatchThread> {
  const subjects = subjectsOf(options.guest);
  const isPrimary = options.peer === 'primary';
  const { silenceLimitMs: limitMs, wedgedLimitMs: wedgedMs } = bounds;
  const thread = new Thread(options, options.onEvent, {
    role: 'watch',
    subject: isPrimary ? subjects.heartbeatOfPrimary : subjects.heartbeatOfBackup,
    echoSubject: subjects.echo(randomUUID()),
    limits: options.limits ?? { limitMs, wedgedMs },
  });
  await thread.ready();
  return thread;
}

class Thread implements WatchThread {
  readonly #worker: Worker;
  readonly #ended: Promise<void>;
  readonly #started: Promise<void>;
  #stopping = false;

  constructor(
    options: ThreadOptions,
    onEvent: ((event: WatchEvent) => void) | undefined,
    role: RoleTask,
  ) {
    const { nats, guest, connectDeadlineMs = bounds.connectDeadlineMs } = options;
    const workerData: WorkerTask = { ...role, nats, guest: guestHash(guest), connectDeadlineMs };
    this.#worker = new Worker(new URL('./heartbeat-worker.js', import.meta.url), { workerData });
    let isUp = false;
    this.#ended = new Promise((resolve) => this.#worker.once('exit', () => resolve()));
    this.#started = new Promise((resolve, reject) => {
      const die = (error: UnderstudyError) => {
        if (!isUp) reject(error);
        else if (!this.#stopping) options.onDeath(error);
        this.#stopping = true;
      };
      this.#worker.on('message', (message: FromWorker) => {
        if (message.kind === 'event' && !this.#stopping) onEvent?.(message.event);
        else if (message.kind === 'warning') options.onWarning?.(revived(message.error));
        else if (message.kind === 'failed') die(revived(message.error));
        else if (message.kind === 'ready') {
          isUp = true;
          resolve();
        }
      });
      this.#worker.on('error', (error) => die(workerDeath(error.message, error)));
      this.#worker.on('exit', (code) => die(workerDeath(`it ended with status ${code}`)));
    });
  }

  async ready(): Promise<void> {
    try {
      await this.#started;
    } catch (error) {
      await this.#worker.terminate();
      throw error;
    }
  }

  follow(agent: bigint | undefined): void {
    this.#worker.postMessage({ kind: 'follow', agent } satisfies ToWorker);
  }

  heard(): void {
    this.#worker.postMessage({ kind: 'heard' } satisfies ToWorker);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.#worker.postMessage({ kind: 'stop' } satisfies ToWorker);
    const force = setTimeout(() => this.#worker.terminate(), stopMs);
    await this.#ended;
    clearTimeout(force);
  }
}

const stopMs = 2000;

const revived = ({ code, message, hint, fields }: PlainError): UnderstudyError =>
  new UnderstudyError(code, message, { hint, fields });

function workerDeath(why: string, cause?: Error): UnderstudyError {
  const message = `the heartbeat worker died: ${why}`;
  return new UnderstudyError('E_HEARTBEAT_WORKER', message, {
    hint: 'This is a fault of Understudy; restart the agent and report it.',
    ...(cause === undefined ? {} : { cause }),
  });
}
