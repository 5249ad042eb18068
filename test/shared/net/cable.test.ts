import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { isUnderstudyError, type UnderstudyError } from '../../../shared/errors.ts';
import { Cable } from '../../../shared/net/cable.ts';
import { FrameSplitter, joinFrame } from '../../../shared/net/ethernet-stream.ts';
import { networkBounds } from '../../../shared/net/network-bounds.ts';

/** QEMU's end, as far as a cable can tell. */
interface Far {
  readonly path: string;
  readonly sockets: Socket[];
  readonly frames: Uint8Array[];
  listen(): Promise<void>;
  close(): Promise<void>;
}

function farEnd(t: ExecutionContext): Far {
  const folder = mkdtempSync(join(tmpdir(), 'us-cable-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'cable0.sock');
  const sockets: Socket[] = [];
  const frames: Uint8Array[] = [];
  let server: Server | undefined;
  const close = async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    await new Promise((resolve) => (server?.listening ? server.close(resolve) : resolve(0)));
  };
  t.teardown(close);
  const listen = async () => {
    server = createServer((socket) => {
      const splitter = new FrameSplitter((frame) => frames.push(Uint8Array.from(frame)));
      socket.on('data', (piece) => splitter.push(piece));
      socket.on('error', () => {});
      sockets.push(socket);
    });
    await new Promise<void>((resolve) => server!.listen(path, resolve));
  };
  return { path, sockets, frames, listen, close };
}

function plugIn(t: ExecutionContext, far: Far) {
  const frames: Uint8Array[] = [];
  const changes: string[] = [];
  const cable = new Cable({
    path: far.path,
    onFrame: (frame) => frames.push(Uint8Array.from(frame)),
    onConnected: () => changes.push('connected'),
    onDisconnected: (error: UnderstudyError | undefined) => changes.push(error?.code ?? 'out'),
  });
  t.teardown(() => cable.close());
  return { cable, frames, changes };
}

async function until(condition: () => boolean, what: string): Promise<void> {
  for (const end = performance.now() + 120_000; !condition(); await sleep(5)) {
    if (performance.now() > end) throw new Error(`not within 120 s: ${what}`);
  }
}

const someFrame = (seed: number, length = 60) =>
  Uint8Array.from({ length }, (_, index) => (index + seed) & 0xff);

test('a cable may be plugged in before QEMU listens, and carries frames both ways', async (t) => {
  const far = farEnd(t);
  const { cable, frames } = plugIn(t, far);
  await sleep(50);
  t.false(cable.connected);
  await far.listen();
  await cable.ready();
  await until(() => far.sockets.length > 0, 'QEMU accepts');
  t.true(cable.send(someFrame(1)));
  far.sockets[0]!.write(Buffer.concat([joinFrame(someFrame(2)), joinFrame(someFrame(3, 1514))]));
  await until(() => frames.length === 2 && far.frames.length === 1, 'frames both ways');
  t.deepEqual(frames, [someFrame(2), someFrame(3, 1514)]);
  t.deepEqual(far.frames, [someFrame(1)]);
});

test('nobody else may use the cable’s socket', async (t) => {
  const far = farEnd(t);
  await far.listen();
  const { cable } = plugIn(t, far);
  await cable.ready();
  t.is(statSync(far.path).mode & 0o777, 0o600);
});

test('a cable that is lost is connected again, and starts between two frames', async (t) => {
  const far = farEnd(t);
  await far.listen();
  const { cable, frames, changes } = plugIn(t, far);
  await until(() => far.sockets.length === 1, 'QEMU accepts');
  far.sockets[0]!.write(joinFrame(someFrame(1)).subarray(0, 30));
  await sleep(20);
  await far.close();
  await until(() => changes.at(-1) === 'out', 'it is noticed');
  t.false(cable.send(someFrame(9)));
  await far.listen();
  await until(() => far.sockets.length === 1, 'QEMU accepts again');
  far.sockets[0]!.write(joinFrame(someFrame(2)));
  await until(() => frames.length > 0, 'the frame comes');
  t.deepEqual(frames, [someFrame(2)]);
  t.deepEqual(changes, ['connected', 'out', 'connected']);
});

test('a corrupt stream ends the connection, with its reason, and not the agent', async (t) => {
  const far = farEnd(t);
  await far.listen();
  const { frames, changes } = plugIn(t, far);
  await until(() => far.sockets.length === 1, 'QEMU accepts');
  far.sockets[0]!.write(Buffer.concat([joinFrame(someFrame(1)), Buffer.alloc(40, 0xff)]));
  await until(() => far.sockets.length === 2, 'it is connected anew');
  far.sockets[1]!.write(joinFrame(someFrame(2)));
  await until(() => frames.length === 2, 'frames come again');
  t.deepEqual(frames, [someFrame(1), someFrame(2)]);
  t.deepEqual(changes, ['connected', 'E_CABLE_CORRUPT', 'connected']);
});

test('what a guest sends that is no Ethernet frame is counted and goes nowhere', async (t) => {
  const far = farEnd(t);
  await far.listen();
  const { cable, frames } = plugIn(t, far);
  await until(() => far.sockets.length === 1, 'QEMU accepts');
  const runt = Buffer.from([0, 0, 0, 3, 1, 2, 3, 0, 0, 0, 0]);
  far.sockets[0]!.write(Buffer.concat([runt, joinFrame(someFrame(1))]));
  await until(() => frames.length === 1, 'the frame behind it comes');
  t.is(cable.counts.sentRunts, 2);
  t.is(cable.counts.sent, 1);
});

test('input that QEMU does not take is bounded and then dropped, newest first', async (t) => {
  const far = farEnd(t);
  await far.listen();
  const { cable } = plugIn(t, far);
  await cable.ready();
  await until(() => far.sockets.length === 1, 'QEMU accepts');
  far.sockets[0]!.pause();
  const before = process.memoryUsage().arrayBuffers;
  const frame = new Uint8Array(1500).fill(7);
  for (let index = 0; index < 50_000; index++) {
    new DataView(frame.buffer).setUint32(0, index);
    cable.send(frame);
    if (index % 1000 === 0) await new Promise(setImmediate);
  }
  const held = process.memoryUsage().arrayBuffers - before;
  t.true(held < 4 * networkBounds.cableInputBytesMax, `${held} bytes`);
  const { received, receivedDropped } = cable.counts;
  t.is(received + receivedDropped, 50_000);
  t.true(receivedDropped > 40_000, `${receivedDropped} dropped`);
  far.sockets[0]!.resume();
  await until(() => far.frames.length === received, 'the oldest arrive');
  const numbers = far.frames.map((one) => Buffer.from(one).readUInt32BE(0));
  t.deepEqual(numbers, [...numbers.keys()]);
  t.true(cable.send(frame));
  t.false(cable.send(new Uint8Array(networkBounds.frameBytesMax + 1)), 'QEMU would refuse it');
});

test('a cable that is not read holds its guest up and loses nothing', async (t) => {
  const far = farEnd(t);
  await far.listen();
  const { cable, frames } = plugIn(t, far);
  await until(() => far.sockets.length === 1, 'QEMU accepts');
  cable.stopReading();
  const count = 3000;
  for (let index = 0; index < count; index++) far.sockets[0]!.write(joinFrame(someFrame(0, 1514)));
  await sleep(100);
  t.true(frames.length < 200, `${frames.length} came`);
  t.true(far.sockets[0]!.writableLength > 0, 'QEMU would wait');
  cable.startReading();
  await until(() => frames.length === count, 'all come');
  t.pass();
});

test('a cable that never connects is E_CABLE_UNREACHABLE, and a closed one is silent', async (t) => {
  const far = farEnd(t);
  const { cable, changes } = plugIn(t, far);
  const error = await t.throwsAsync(cable.ready(100));
  t.true(isUnderstudyError(error, 'E_CABLE_UNREACHABLE'));
  const waiting = t.throwsAsync(cable.ready());
  await cable.close();
  await waiting;
  await far.listen();
  await sleep(100);
  t.deepEqual(far.sockets, []);
  t.deepEqual(changes, []);
});
