import { existsSync } from 'node:fs';
import { isUnderstudyError } from '../errors.ts';
import { QmpClient } from './qmp.ts';

/**
 * One command, on a monitor of its own, of which QEMU has read all but the end: it reads byte by
 * byte, and a long command takes half a millisecond, here before it is wanted. Where there is no such
 * monitor (a QEMU that an older release started), or it fails, it is never ready again, and whoever
 * wants it goes another way.
 */
export class ReadyCommand {
  readonly #path: string;
  readonly #command: string;
  readonly #args: Readonly<Record<string, unknown>>;
  #qmp: QmpClient | undefined;
  #run: (() => Promise<unknown>) | undefined;
  #isConnecting = false;
  #isClosed = false;

  constructor(path: string, command: string, args: Readonly<Record<string, unknown>>) {
    this.#path = path;
    this.#command = command;
    this.#args = args;
  }

  /** Makes it ready, soon, unless it is. */
  prepare(): void {
    if (this.#isClosed || this.#isConnecting || this.#run !== undefined) return;
    if (this.#qmp?.closed === false) {
      this.#run = this.#qmp.prepare(this.#command, this.#args);
      return;
    }
    this.#isConnecting = true;
    this.#connect().finally(() => {
      this.#isConnecting = false;
      this.prepare();
    });
  }

  /** Runs it, if it is ready; false: nothing was done. Errors: those of `QmpClient`. */
  async run(): Promise<boolean> {
    const run = this.#run;
    if (run === undefined) return false;
    this.#run = undefined;
    try {
      await run();
      return true;
    } catch (error) {
      // QEMU forgets what it was told on a connection that ends: nothing runs late.
      if (!isUnderstudyError(error, 'E_QMP_ERROR')) this.#drop();
      if (isUnderstudyError(error, 'E_QMP_CLOSED')) return false;
      throw error;
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#drop();
  }

  async #connect(): Promise<void> {
    if (!existsSync(this.#path)) {
      this.#isClosed = true;
      return;
    }
    try {
      this.#qmp = await QmpClient.connect({ path: this.#path, timeoutMs: connectTimeoutMs });
      if (this.#isClosed) this.#drop();
    } catch (error) {
      if (!isUnderstudyError(error)) throw error;
      this.#isClosed = true;
    }
  }

  #drop(): void {
    this.#run = undefined;
    this.#qmp?.close();
    this.#qmp = undefined;
  }
}

const connectTimeoutMs = 1000;
