import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { NbdConnection } from './connection.ts';
import type { NbdDisk } from './nbd-disk.ts';

export interface NbdServerOptions {
  /** A unix socket. One that an earlier process left is replaced. */
  readonly path: string;
  /** By the name under which a client asks for it. */
  readonly disks: ReadonlyMap<string, NbdDisk>;
  /** Runs a change of a disk, now or when there is room for it, in order. Default: now. */
  readonly admit?: (work: () => void) => void;
}

/** Serves disks over NBD on a unix socket, to any number of clients at once. */
export class NbdServer {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Resolves when clients can connect. */
  static async listen(options: NbdServerOptions): Promise<NbdServer> {
    const { path, disks, admit = (work) => work() } = options;
    rmSync(path, { force: true });
    const server = createServer();
    const nbd = new NbdServer(server);
    server.on('connection', (socket) => {
      nbd.#sockets.add(socket);
      socket.on('close', () => nbd.#sockets.delete(socket));
      new NbdConnection(socket, disks, admit);
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, resolve);
    });
    chmodSync(path, 0o600);
    return nbd;
  }

  /** Ends every connection. Requests that were not answered are the clients' to repeat. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}
