import { connect, type Socket } from 'node:net';
import { guestAddress } from './guest-client.ts';

/** Of the paper: so many connections ask the guest's web server, over and over. */
const connectionCount = 100;
const againMs = 100;
/** The kernel itself would ask again ever more rarely, and a guest without a cable misses some. */
const connectMsMax = 2000;

/** What is asked for: the first has its whole length told, the other one ends with its connection. */
export const webWork = {
  downloads: { port: 8080, path: () => '/file', bytes: 256 * 1024 },
  pages: { port: 8081, path: (index: number) => `/shop?user=${index}`, bytes: null },
} as const;

/** Clients of the guest's web server; they count the bytes that they get. */
export class WebClients {
  #bytes = 0;
  #stopped = false;
  readonly #work: (typeof webWork)[keyof typeof webWork];
  readonly #sockets = new Set<Socket>();

  constructor(work: keyof typeof webWork) {
    this.#work = webWork[work];
    for (let index = 0; index < connectionCount; index++) this.#open(index);
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Begins anew, as people do: a connection that a failover broke may wait for ever. */
  reconnect(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  stop(): void {
    this.#stopped = true;
    this.reconnect();
  }

  #open(index: number): void {
    if (this.#stopped) return;
    const { port, path, bytes } = this.#work;
    const version = bytes === null ? 'HTTP/1.0' : 'HTTP/1.1';
    const request = `GET ${path(index)} ${version}\r\nHost: guest\r\n\r\n`;
    const socket = connect(port, guestAddress);
    this.#sockets.add(socket);
    // One file after the other: what comes first of each is its head.
    let [left, isHead] = [0, true];
    const ask = () => {
      isHead = true;
      socket.write(request);
    };
    const giveUp = setTimeout(() => socket.destroy(), connectMsMax);
    socket.on('connect', () => {
      clearTimeout(giveUp);
      ask();
    });
    socket.on('data', (piece) => {
      this.#bytes += piece.length;
      if (bytes === null) return;
      if (isHead) left = bytes + piece.indexOf('\r\n\r\n') + 4;
      isHead = false;
      left -= piece.length;
      if (left <= 0) ask();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      clearTimeout(giveUp);
      this.#sockets.delete(socket);
      setTimeout(() => this.#open(index), againMs);
    });
  }
}
