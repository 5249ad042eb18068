import { connect, type Socket } from 'node:net';
import { guestAddress } from './guest-client.ts';

/** Of the paper: so many connections download a file of 256 KiB, over and over. */
const connectionCount = 100;
const webPort = 8080;
const againMs = 100;
const fileBytes = 256 * 1024;
const request = 'GET /file HTTP/1.1\r\nHost: guest\r\n\r\n';

/** Clients of the guest's web server; they count the bytes that they get. */
export class Downloads {
  #bytes = 0;
  #stopped = false;
  readonly #sockets = new Set<Socket>();

  constructor() {
    for (let index = 0; index < connectionCount; index++) this.#open();
  }

  get bytes(): number {
    return this.#bytes;
  }

  stop(): void {
    this.#stopped = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  #open(): void {
    if (this.#stopped) return;
    const socket = connect(webPort, guestAddress);
    this.#sockets.add(socket);
    // One file after the other: what comes first of each is its head.
    let [left, isHead] = [0, true];
    const ask = () => {
      isHead = true;
      socket.write(request);
    };
    socket.on('connect', ask);
    socket.on('data', (piece) => {
      this.#bytes += piece.length;
      if (isHead) left = fileBytes + piece.indexOf('\r\n\r\n') + 4;
      isHead = false;
      left -= piece.length;
      if (left <= 0) ask();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#sockets.delete(socket);
      setTimeout(() => this.#open(), againMs);
    });
  }
}
