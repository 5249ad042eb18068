import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { isUnderstudyError, systemCode, UnderstudyError } from '../errors.ts';
import { QmpLines } from './qmp-lines.ts';

export interface QmpEvent {
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface QmpConnectOptions {
  readonly path: string;
  /** Whole time for the socket to appear, the greeting and the negotiation. */
  readonly timeoutMs?: number;
  /** Stops the waiting early, for example when QEMU ended; what it throws is thrown. */
  readonly checkAlive?: () => void;
}

/**
 * One connection to QEMU's machine protocol: JSON lines on a unix socket. Commands may overlap;
 * an answer that comes after its command timed out is dropped, so a QEMU that hung for a while
 * can be talked to again. A monitor serves one client at a time: a second one waits in the
 * socket's queue without a greeting and gets `E_QMP_TIMEOUT`.
 *
 * Errors: `E_QMP_TIMEOUT`, `E_QMP_ERROR` (QEMU refused; fields `command`, `class`, `reason`),
 * `E_QMP_CLOSED` (the connection ended), `E_QMP_PROTOCOL` (not QMP, or a line too long).
 */
export class QmpClient {
  readonly #socket: Socket;
  readonly #lines = new QmpLines();
  readonly #waiting = new Map<number, Waiting>();
  readonly #eventListeners = new Set<(event: QmpEvent) => void>();
  readonly #closeListeners = new Set<() => void>();
  #nextId = 1;
  #closed = false;
  #onGreeting: ((error?: UnderstudyError) => void) | undefined;

  /** Connects and negotiates, trying again until the socket is there or the time is up. */
  static async connect(options: QmpConnectOptions): Promise<QmpClient> {
    const { path, timeoutMs = defaultTimeoutMs } = options;
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      options.checkAlive?.();
      const left = deadline - performance.now();
      if (left <= 0) throw noAnswer(path, timeoutMs);
      const socket = await openSocket(path, left);
      if (socket === undefined) {
        await sleep(retryMs);
        continue;
      }
      const client = new QmpClient(socket);
      try {
        await client.#greeting(path, left);
        await client.execute('qmp_capabilities', {}, { timeoutMs: Math.max(1, left) });
        return client;
      } catch (error) {
        client.close();
        // A QEMU that fails to start closes its sockets a moment before it is gone.
        if (!isUnderstudyError(error, 'E_QMP_CLOSED')) throw error;
        await sleep(retryMs);
      }
    }
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('close', () => this.#end(closed('QEMU closed the connection')));
    socket.on('error', () => undefined); // "close" follows and says it
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Runs a command and gives what it returned. */
  execute<T = unknown>(
    command: string,
    args: Readonly<Record<string, unknown>> = {},
    options: { readonly timeoutMs?: number } = {},
  ): Promise<T> {
    const { timeoutMs = defaultTimeoutMs } = options;
    if (this.#closed) return Promise.reject(closed(`no connection for ${command}`));
    const id = this.#nextId++;
    const answer = this.#answerTo<T>(id, command, timeoutMs);
    this.#socket.write(requestText(command, args, id));
    return answer;
  }

  /**
   * Has QEMU read all of a command but its end; what is returned runs it. Nothing else may be said
   * on this connection before.
   */
  prepare(command: string, args: Readonly<Record<string, unknown>>): () => Promise<unknown> {
    const id = this.#nextId++;
    const text = requestText(command, args, id);
    this.#socket.write(text.slice(0, -requestEnd.length));
    return () => {
      if (this.#closed) return Promise.reject(closed(`no connection for ${command}`));
      const answer = this.#answerTo(id, command, defaultTimeoutMs);
      this.#socket.write(requestEnd);
      return answer;
    };
  }

  /** Called for each event, in order, before the answer of a command that came after it. */
  onEvent(listener: (event: QmpEvent) => void): () => void {
    this.#eventListeners.add(listener);
    return () => this.#eventListeners.delete(listener);
  }

  /** Called once when the connection has ended, unless `close` ended it. */
  onClose(listener: () => void): void {
    this.#closeListeners.add(listener);
  }

  close(): void {
    this.#closeListeners.clear();
    this.#end(closed('the connection was closed on this side'));
    this.#socket.destroy();
  }

  #answerTo<T>(id: number, command: string, timeoutMs: number): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(timedOut(command, timeoutMs));
      }, timeoutMs);
      this.#waiting.set(id, {
        command,
        timer,
        resolve: resolve as (value: unknown) => void,
        reject,
      });
    });
  }

  #greeting(path: string, timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(noAnswer(path, timeoutMs)), Math.max(1, timeoutMs));
      this.#onGreeting = (error) => {
        clearTimeout(timer);
        this.#onGreeting = undefined;
        if (error === undefined) resolve();
        else reject(error);
      };
    });
  }

  #onData(chunk: Buffer): void {
    try {
      for (const message of this.#lines.push(chunk)) this.#onMessage(message);
    } catch (error) {
      if (!(error instanceof UnderstudyError)) throw error;
      this.#end(error);
      this.#socket.destroy();
    }
  }

  #onMessage(message: Readonly<Record<string, unknown>>): void {
    if ('QMP' in message) this.#onGreeting?.();
    else if (typeof message.event === 'string') this.#onEvent(message.event, message.data);
    else this.#onAnswer(message);
  }

  #onEvent(event: string, data: unknown): void {
    const fields = typeof data === 'object' && data !== null ? data : {};
    for (const listener of this.#eventListeners) listener({ event, data: { ...fields } });
  }

  #onAnswer(message: Readonly<Record<string, unknown>>): void {
    const id = message.id;
    const waiting = typeof id === 'number' ? this.#waiting.get(id) : undefined;
    if (waiting === undefined) return;
    this.#waiting.delete(id as number);
    clearTimeout(waiting.timer);
    if ('error' in message) waiting.reject(refused(waiting.command, message.error));
    else waiting.resolve(message.return);
  }

  #end(error: UnderstudyError): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#onGreeting?.(error);
    for (const waiting of this.#waiting.values()) {
      clearTimeout(waiting.timer);
      waiting.reject(error);
    }
    this.#waiting.clear();
    for (const listener of this.#closeListeners) listener();
    this.#closeListeners.clear();
    this.#eventListeners.clear();
  }
}

interface Waiting {
  readonly command: string;
  readonly timer: NodeJS.Timeout;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: UnderstudyError) => void;
}

/** QEMU 7.2 reads byte by byte, with seven system calls each (about 3 µs): nothing is said in vain. */
function requestText(command: string, args: Readonly<Record<string, unknown>>, id: number): string {
  const said = Object.keys(args).length > 0 ? { arguments: args } : {};
  return `${JSON.stringify({ execute: command, ...said, id }).slice(0, -1)}${requestEnd}`;
}

const requestEnd = '}\n';

const defaultTimeoutMs = 5000;
const retryMs = 5;
/** Not there yet, nobody listens yet or any more, or the queue of a busy monitor is full. */
const retried = new Set(['ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'EAGAIN']);

/** A connected socket, or undefined where trying again may help. */
function openSocket(path: string, timeoutMs: number): Promise<Socket | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    const timer = setTimeout(() => socket.destroy(systemError('ETIMEDOUT')), timeoutMs);
    socket.once('connect', () => {
      clearTimeout(timer);
      socket.removeAllListeners('error');
      resolve(socket);
    });
    socket.once('error', (error) => {
      clearTimeout(timer);
      const code = systemCode(error) ?? '';
      if (code === 'ETIMEDOUT') reject(noAnswer(path, timeoutMs));
      else if (retried.has(code)) resolve(undefined);
      else reject(unreachable(path, code, error));
    });
  });
}

const systemError = (code: string): Error => Object.assign(new Error(code), { code });

function timedOut(command: string, timeoutMs: number): UnderstudyError {
  return new UnderstudyError('E_QMP_TIMEOUT', `QEMU did not answer ${command} in ${timeoutMs} ms`, {
    hint: 'See whether the QEMU process hangs (its log, the load of the host, its disks).',
    fields: { command, timeoutMs },
  });
}

function noAnswer(path: string, timeoutMs: number): UnderstudyError {
  const waitedMs = Math.round(timeoutMs);
  return new UnderstudyError('E_QMP_TIMEOUT', `no QMP greeting from ${path} in ${waitedMs} ms`, {
    hint: 'QEMU hangs, or another program holds this monitor: it serves one client at a time.',
    fields: { path, timeoutMs: waitedMs },
  });
}

function unreachable(path: string, code: string, cause: unknown): UnderstudyError {
  return new UnderstudyError('E_QMP_CLOSED', `${path} can't be connected to: ${code}`, {
    hint: 'Run as the user that started QEMU, or as root.',
    fields: { path, cause: code },
    cause,
  });
}

function closed(message: string): UnderstudyError {
  return new UnderstudyError('E_QMP_CLOSED', message, {
    hint: 'QEMU ended or was replaced; see its log in the run folder.',
  });
}

function refused(command: string, error: unknown): UnderstudyError {
  const { class: kind, desc } = (error ?? {}) as { class?: unknown; desc?: unknown };
  const reason = typeof desc === 'string' ? desc : 'no reason given';
  return new UnderstudyError('E_QMP_ERROR', `QEMU refused ${command}: ${reason}`, {
    hint: 'See the reason that QEMU gives.',
    fields: { command, reason, class: typeof kind === 'string' ? kind : 'unknown' },
  });
}
