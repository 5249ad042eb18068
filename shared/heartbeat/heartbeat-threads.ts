import { Worker } from 'node:worker_threads';
import { UnderstudyError } from '../errors.ts';
import type { GuestName } from '../ids.ts';
import type { NatsSettings } from '../transport/nats-transport.ts';
import { guestHash } from '../wire/frame.ts';
import type { WatchEvent } from './watch.ts';
import type { FromWorker, PlainError, RoleTask, ToWorker, WorkerStart } from './worker-message.ts';

export interface HeartbeatConnection {
  readonly nats: NatsSettings;
  readonly guest: GuestName;
  /** How long NATS is waited for; `null`: for ever. */
  readonly connectDeadlineMs: number | null;
}

/** Who hears of what a thread does. */
export interface HeartbeatListener {
  onEvent?(event: WatchEvent): void;
  /** What NATS complains about. */
  onWarning?(warning: UnderstudyError): void;
  /** The worker died: `E_HEARTBEAT_WORKER`. */
  onDeath(error: UnderstudyError): void;
}

/**
 * The heartbeat threads of a process. One whose task is over waits for the next: to start a thread
 * takes tenths of a second of a core, which a guest that has just been moved needs more.
 */
export class HeartbeatThreads {
  readonly #idle: HeartbeatThread[] = [];
  #isClosed = false;

  /**
   * Resolves when the task is begun. An idle thread has its connection: `connection` must be the
   * same in all roles. Throws `E_NATS_…` as `connectNats`, `E_HEARTBEAT_WORKER`.
   */
  async begin(
    task: RoleTask,
    connection: HeartbeatConnection,
    listener: HeartbeatListener,
  ): Promise<HeartbeatThread> {
    for (let kept = this.#idle.pop(); kept !== undefined; kept = this.#idle.pop()) {
      if (await kept.begin(task, listener).then(succeeded, failed)) return kept;
      // Its connection is away: a new one waits for NATS as long as it may.
      await kept.stop();
    }
    const thread = new HeartbeatThread(connection);
    try {
      await thread.begin(task, listener);
    } catch (error) {
      await thread.stop();
      throw error;
    }
    return thread;
  }

  /** Its task is over. It hears and says nothing from now on, until it gets another. */
  async end(thread: HeartbeatThread): Promise<void> {
    const isIdle = await thread.end();
    if (isIdle && !this.#isClosed) this.#idle.push(thread);
    else await thread.stop();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all(this.#idle.splice(0).map((thread) => thread.stop()));
  }
}

const succeeded = () => true;
const failed = () => false;

/** One thread, with a task or idle. */
export class HeartbeatThread {
  readonly #worker: Worker;
  readonly #ended: Promise<void>;
  #isDead = false;
  #listener: HeartbeatListener | undefined;
  /** Who waits for the answer to `begin` or `end`. */
  #waiting: { resolve(): void; reject(error: UnderstudyError): void } | undefined;

  constructor({ nats, guest, connectDeadlineMs }: HeartbeatConnection) {
    const workerData: WorkerStart = { nats, guest: guestHash(guest), connectDeadlineMs };
    this.#worker = new Worker(new URL('./heartbeat-worker.js', import.meta.url), { workerData });
    this.#ended = new Promise((resolve) => this.#worker.once('exit', () => resolve()));
    this.#worker.on('message', (message: FromWorker) => this.#hear(message));
    this.#worker.on('error', (error) => this.#die(workerDeath(error.message, error)));
    this.#worker.on('exit', (code) => this.#die(workerDeath(`it ended with status ${code}`)));
  }

  async begin(task: RoleTask, listener: HeartbeatListener): Promise<void> {
    this.#listener = listener;
    try {
      await this.#ask({ kind: 'begin', task });
    } catch (error) {
      this.#listener = undefined;
      throw error;
    }
  }

  /** False where it can't be used again. */
  async end(): Promise<boolean> {
    this.#listener = undefined;
    const deadline = setTimeout(() => this.#waiting?.reject(workerDeath('it hangs')), answerMs);
    return await this.#ask({ kind: 'end' })
      .then(succeeded, failed)
      .finally(() => clearTimeout(deadline));
  }

  tell(message: ToWorker & { kind: 'follow' | 'heard' }): void {
    this.#worker.postMessage(message);
  }

  async stop(): Promise<void> {
    this.#listener = undefined;
    this.#worker.postMessage({ kind: 'stop' } satisfies ToWorker);
    const force = setTimeout(() => this.#worker.terminate(), answerMs);
    await this.#ended;
    clearTimeout(force);
  }

  #ask(message: ToWorker & { kind: 'begin' | 'end' }): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#isDead) return reject(workerDeath('it ended before'));
      this.#waiting = { resolve, reject };
      this.#worker.postMessage(message);
    });
  }

  #hear(message: FromWorker): void {
    switch (message.kind) {
      case 'event':
        this.#listener?.onEvent?.(message.event);
        return;
      case 'warning':
        this.#listener?.onWarning?.(revived(message.error));
        return;
      case 'failed':
        this.#waiting?.reject(revived(message.error));
        break;
      default:
        this.#waiting?.resolve();
    }
    this.#waiting = undefined;
  }

  #die(error: UnderstudyError): void {
    if (this.#isDead) return;
    this.#isDead = true;
    // Whoever waits is told so, and nobody else.
    if (this.#waiting !== undefined) this.#waiting.reject(error);
    else this.#listener?.onDeath(error);
    this.#waiting = undefined;
  }
}

const answerMs = 2000;

const revived = ({ code, message, hint, fields }: PlainError): UnderstudyError =>
  new UnderstudyError(code, message, { hint, fields });

function workerDeath(why: string, cause?: Error): UnderstudyError {
  const message = `the heartbeat worker died: ${why}`;
  return new UnderstudyError('E_HEARTBEAT_WORKER', message, {
    hint: 'This is a fault of Understudy; restart the agent and report it.',
    ...(cause === undefined ? {} : { cause }),
  });
}
