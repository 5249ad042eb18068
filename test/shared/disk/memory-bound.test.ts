import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { emptyImage } from './disk-fixture.ts';

/** Memory for changes that have not left, as the system counts it, however much a guest writes. */

const mib = 2 ** 20;
/** What is logged and has not left. */
const logBytesMax = 32 * mib;
/** Of each connection, waits to be logged. */
const waitingBytesMax = 16 * mib;
/** For heaps, buffers of sockets, what an allocator keeps, and the map of a small image's pages. */
const allowanceBytes = 96 * mib;
const connections = 4;
const requests = 100;
const deadlineMs = 120_000;

interface Said {
  readonly loggedBytes: number;
  readonly residentBytes: number;
}

test('a guest that floods its disk takes no more memory than its bound, as the system counts it', async (t) => {
  const folder = mkdtempSync('/dev/shm/understudy-flood-');
  emptyImage(folder, 'a.raw', 64 * mib);
  const path = fileURLToPath(new URL('./flooded-child.js', import.meta.url));
  const child = spawn(process.execPath, ['--expose-gc', path, folder], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const clients: Socket[] = [];
  try {
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const next = async (): Promise<Said> => JSON.parse((await lines.next()).value as string);
    const { residentBytes: before } = await next();
    let peakBytes = 0;
    const until = async (isDone: (said: Said) => boolean) => {
      for (const deadline = Date.now() + deadlineMs; Date.now() < deadline; ) {
        const said = await next();
        peakBytes = Math.max(peakBytes, said.residentBytes - before);
        if (isDone(said)) return;
      }
      t.fail(`after ${deadlineMs} ms, at ${peakBytes} bytes`);
    };

    let answers = 0;
    for (let n = 0; n < connections; n++) {
      const client = await connect(join(folder, 'nbd.sock'));
      clients.push(client);
      client.on('data', (chunk: Buffer) => {
        answers += chunk.length / 16;
      });
      for (let at = 0; at < requests; at++) client.write(writeOf((at % 64) * mib));
    }
    // Nothing more is taken: it stays so for a second.
    let [last, same] = [-1, 0];
    await until(({ loggedBytes }) => {
      same = loggedBytes === last && loggedBytes > logBytesMax - 2 * mib ? same + 1 : 0;
      last = loggedBytes;
      return same === 20;
    });
    t.true(last < logBytesMax + 2 * mib, `${last} bytes were logged`);
    t.true(answers < requests);
    child.stdin.write('leave\n');
    await until(() => answers === connections * requests);
    t.true(peakBytes > logBytesMax / 2, `${peakBytes} bytes: nothing was measured`);
    const boundBytes = logBytesMax + connections * waitingBytesMax + allowanceBytes;
    t.log(`${Math.round(peakBytes / mib)} of ${boundBytes / mib} MiB`);
    t.true(peakBytes < boundBytes, `${peakBytes} bytes`);
  } finally {
    for (const client of clients) client.destroy();
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
});

const data = Buffer.alloc(mib, 7);

function writeOf(offset: number): Buffer {
  const head = Buffer.alloc(28);
  head.writeUInt32BE(0x25609513, 0);
  head.writeUInt16BE(1, 6);
  head.writeBigUInt64BE(BigInt(offset), 16);
  head.writeUInt32BE(data.length, 24);
  return Buffer.concat([head, data]);
}

/** Asks for the disk in the oldest way, which is answered with its size and a hundred and odd zeros. */
async function connect(path: string): Promise<Socket> {
  const socket = createConnection(path);
  const read = async (bytes: number): Promise<void> => {
    while (socket.read(bytes) === null) {
      await new Promise((resolve) => socket.once('readable', resolve));
    }
  };
  await read(18);
  const name = Buffer.from('disk0');
  const head = Buffer.alloc(20);
  head.writeUInt32BE(1, 0);
  head.write('IHAVEOPT', 4);
  head.writeUInt32BE(1, 12);
  head.writeUInt32BE(name.length, 16);
  socket.write(Buffer.concat([head, name]));
  await read(8 + 2 + 124);
  return socket;
}
