import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { bounds } from '../bounds.ts';
import { isUnderstudyError, systemCode, UnderstudyError } from '../errors.ts';
import { GuestLock } from '../qemu/guest-lock.ts';
import { LineSplitter, refusalLine } from './control-line.ts';

/** The socket's path, given the guest's own run folder. */
export const controlSocketPath = (folder: string): string => join(folder, 'agent.sock');

/**
 * The socket on which an agent hears its operator. Only the agent's user can connect, from the
 * first instant on. One that a dead agent left is replaced; a living agent keeps its own, which a
 * lock decides that ends with its process.
 */
export class ControlSocket {
  readonly #path: string;
  readonly #lock: GuestLock;
  readonly #server: Server;
  readonly #open = new Set<Socket>();

  private constructor(path: string, lock: GuestLock, answer: (line: string) => Promise<string>) {
    this.#path = path;
    this.#lock = lock;
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#serve(socket, answer));
    this.#server.maxConnections = bounds.controlConnectionsMax;
  }

  /**
   * `answer` gets a request and gives a line. Throws `E_GUEST_LOCKED` where another agent has the
   * guest, `E_RUN_FOLDER` where the folder can't be used.
   */
  static async listen(
    folder: string,
    answer: (line: string) => Promise<string>,
  ): Promise<ControlSocket> {
    const lock = lockFolder(folder);
    const path = controlSocketPath(folder);
    const socket = new ControlSocket(path, lock, answer);
    // Made beside its place and moved there: whoever finds it finds it ready.
    const made = join(folder, 'agent.new');
    try {
      rmSync(made, { force: true });
      await socket.#bind(made);
      renameSync(made, path);
    } catch (error) {
      await socket.close();
      throw unusable(folder, error);
    }
    return socket;
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#open) socket.destroy();
    await closed;
    // The lock is still held: it can be nobody else's.
    rmSync(this.#path, { force: true });
    this.#lock.release();
  }

  async #bind(path: string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      // The system makes the socket within this call, with the rights that the mask leaves.
      const mask = process.umask(0o177);
      try {
        this.#server.listen(path, resolve);
      } finally {
        process.umask(mask);
      }
    });
  }

  /** One request after the other; whoever reads no answers is heard no further. */
  async #serve(socket: Socket, answer: (line: string) => Promise<string>): Promise<void> {
    this.#open.add(socket);
    socket.on('error', () => {}); // the loop below ends by it
    socket.setTimeout(bounds.controlIdleMs, () => socket.destroy());
    const say = (line: string) => new Promise((done) => socket.write(line, done));
    const splitter = new LineSplitter(bounds.controlRequestBytesMax);
    try {
      for await (const lines of linesOf(socket, splitter)) {
        for (const line of lines) await say(await answer(line));
      }
    } catch (error) {
      if (!isUnderstudyError(error, 'E_CONTROL_LINE')) throw error;
      await say(refusalLine(error));
    } finally {
      socket.destroySoon();
      this.#open.delete(socket);
    }
  }
}

/** Ends with the connection, however that ends. */
async function* linesOf(socket: Socket, splitter: LineSplitter): AsyncGenerator<string[]> {
  const chunks = socket.iterator({ destroyOnReturn: false }) as AsyncIterator<Uint8Array>;
  for (;;) {
    const next = await chunks.next().catch(() => ({ done: true }) as const);
    if (next.done === true) return;
    yield splitter.push(next.value);
  }
}

function lockFolder(folder: string): GuestLock {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    return GuestLock.acquire(join(folder, 'agent.lock'));
  } catch (error) {
    throw unusable(folder, error);
  }
}

function unusable(folder: string, cause: unknown): unknown {
  if (isUnderstudyError(cause)) return cause;
  const code = systemCode(cause) ?? 'unknown';
  return new UnderstudyError('E_RUN_FOLDER', `${folder} can't hold the agent's socket: ${code}`, {
    hint: 'Name a folder that this user may write to as guest.runFolder.',
    fields: { folder, cause: code },
    cause,
  });
}
