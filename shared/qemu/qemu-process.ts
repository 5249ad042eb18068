import { statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { isUnderstudyError, UnderstudyError } from '../errors.ts';
import type { GuestPaths } from './guest-options.ts';
import { isRunning, type ProcessIdentity } from './process-record.ts';
import { exitReason, logTail } from './qemu-exit.ts';
import { QmpClient, type QmpEvent } from './qmp.ts';

export interface QemuProcessListener {
  onQmpEvent(event: QmpEvent): void;
  /** Called once. The process is no more. */
  onGone(reason: string): void;
}

/**
 * A running QEMU and the agent's connection to it. A lost connection is made again for as long as
 * the process runs; while there is none, commands wait for one within their own time.
 */
export class QemuProcess {
  readonly identity: ProcessIdentity;
  readonly paths: GuestPaths;
  readonly #logStart: number;
  #qmp: QmpClient;
  #listener: QemuProcessListener | undefined;
  #reconnecting: Promise<void> | undefined;
  #gone: UnderstudyError | undefined;
  #detached = false;

  constructor(identity: ProcessIdentity, paths: GuestPaths, qmp: QmpClient) {
    this.identity = identity;
    this.paths = paths;
    this.#logStart = statSync(paths.log, { throwIfNoEntry: false })?.size ?? 0;
    this.#qmp = qmp;
    this.#watch(qmp);
  }

  /** One listener; a later one takes the place of the former. Told at once if QEMU is gone. */
  listen(listener: QemuProcessListener): void {
    this.#listener = listener;
    const gone = this.#gone;
    if (gone !== undefined) setImmediate(() => listener.onGone(gone.message));
  }

  get gone(): boolean {
    return this.#gone !== undefined;
  }

  /** As QmpClient.execute; `E_QEMU_EXITED` where the process is no more. */
  async execute<T = unknown>(
    command: string,
    args: Readonly<Record<string, unknown>> = {},
    timeoutMs = commandTimeoutMs,
  ): Promise<T> {
    if (this.#reconnecting !== undefined) {
      await Promise.race([this.#reconnecting, sleep(timeoutMs, undefined, { ref: false })]);
    }
    this.#check();
    try {
      return await this.#qmp.execute<T>(command, args, { timeoutMs });
    } catch (error) {
      if (isUnderstudyError(error, 'E_QMP_CLOSED') && !this.#detached) await this.#settled();
      this.#check();
      throw error;
    }
  }

  /** Ends QEMU at once and waits until it has ended. */
  async kill(): Promise<void> {
    if (isRunning(this.identity)) process.kill(this.identity.pid, 'SIGKILL');
    const deadline = performance.now() + killTimeoutMs;
    while (isRunning(this.identity)) {
      if (performance.now() > deadline) throw new Error(`pid ${this.identity.pid} can't be killed`);
      await sleep(2);
    }
    await this.#settled();
  }

  /** Lets go of QEMU, which goes on as it is. */
  detach(): void {
    this.#detached = true;
    this.#listener = undefined;
    this.#qmp.close();
  }

  #check(): void {
    if (this.#gone !== undefined) throw this.#gone;
  }

  #watch(qmp: QmpClient): void {
    qmp.onEvent((event) => this.#listener?.onQmpEvent(event));
    qmp.onClose(() => {
      this.#reconnecting = this.#reconnect().finally(() => {
        this.#reconnecting = undefined;
      });
    });
  }

  async #reconnect(): Promise<void> {
    const { monitor } = this.paths;
    while (!this.#detached) {
      // A process that ends closes its sockets a moment before it is gone.
      if (!isRunning(this.identity)) return this.#end();
      try {
        const checkAlive = (): void => {
          if (!isRunning(this.identity)) throw exitReason('', undefined);
        };
        const timeoutMs = reconnectTimeoutMs;
        const qmp = await QmpClient.connect({ path: monitor, timeoutMs, checkAlive });
        if (this.#detached) return qmp.close();
        this.#qmp = qmp;
        return this.#watch(qmp);
      } catch (error) {
        if (!(error instanceof UnderstudyError)) throw error;
        await sleep(reconnectEveryMs);
      }
    }
  }

  #end(): void {
    this.#gone = exitReason(logTail(this.paths.log, this.#logStart), undefined);
    this.#listener?.onGone(this.#gone.message);
  }

  /** Waits until a lost connection is made again or the process is known to be gone. */
  async #settled(): Promise<void> {
    await this.#reconnecting;
  }
}

const commandTimeoutMs = 5000;
const killTimeoutMs = 10_000;
const reconnectTimeoutMs = 500;
const reconnectEveryMs = 10;
