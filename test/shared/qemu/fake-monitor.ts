import { createServer, type Server, type Socket } from 'node:net';
import { QmpLines } from '../../../shared/qemu/qmp-lines.ts';

export type Request = { readonly execute: string; readonly id: number };

/** A QMP monitor of the test's own making. */
export class FakeMonitor {
  readonly path: string;
  readonly sockets: Socket[] = [];
  readonly #server: Server;

  /** `answer` gives the raw lines for each request. */
  constructor(path: string, answer: (request: Request) => string, hello = greeting) {
    this.path = path;
    this.#server = createServer((socket) => {
      this.sockets.push(socket);
      socket.on('error', () => undefined);
      socket.write(hello);
      const lines = new QmpLines();
      socket.on('data', (chunk: Buffer) => {
        for (const request of lines.push(chunk)) socket.write(answer(request as Request));
      });
    });
    this.#server.listen(path);
  }

  close(): void {
    for (const socket of this.sockets) socket.destroy();
    this.#server.close();
  }
}

export const done = (request: Request): string => `{"return": {}, "id": ${request.id}}\r\n`;

const greeting = '{"QMP": {"version": {"qemu": {"major": 7}}, "capabilities": []}}\r\n';
