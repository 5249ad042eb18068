import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { StandbyNetwork } from '../../backup/standby-network.ts';
import { monotonicClock } from '../../shared/clock.ts';
import { FrameSplitter, joinFrame } from '../../shared/net/ethernet-stream.ts';
import type { GuestNetwork } from '../../shared/net/guest-network.ts';
import type { AgentEvent } from '../../shared/observe/events.ts';

/** A card whose QEMU is this test, on an uplink that counts what it is given. */
async function standby(t: ExecutionContext) {
  const folder = mkdtempSync(join(tmpdir(), 'us-'));
  const path = join(folder, 'c0');
  const server = createServer().listen(path);
  t.teardown(() => {
    server.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const connected = once(server, 'connection') as Promise<[Socket]>;
  const uplink = { kind: 'none' } as const;
  const cards = [{ card: 0, mac: '52:54:00:00:00:01', path, uplink }];
  const events: AgentEvent[] = [];
  const network = await StandbyNetwork.open({
    ...{ cards, clock: monotonicClock, emit: (event: AgentEvent) => events.push(event) },
    onWarning: (error) => t.fail(error.message),
  });
  const [qemu] = await connected;
  t.teardown(() => qemu.destroy());
  return { network, qemu, events };
}

const frame = joinFrame(new Uint8Array(60).fill(1));

async function sendAndCount(network: GuestNetwork, qemu: Socket): Promise<number> {
  const before = network.counts().get(0)!.cable.sent;
  qemu.write(frame);
  while (network.counts().get(0)!.cable.sent === before) await sleep(5);
  return network.counts().get(0)!.uplink!.sentDropped;
}

test('a standby says nothing to the network, also if its QEMU does', async (t) => {
  const { network, qemu } = await standby(t);
  t.is(await sendAndCount(network.handOn(), qemu), 0);
  await network.handOn().close();
});

test('from the won term on frames pass, and the guest is announced, before any other role', async (t) => {
  const { network, qemu } = await standby(t);
  network.connect([]);
  const lines = network.handOn();
  t.true(lines.counts().get(0)!.uplink!.sentDropped >= 1, 'announced at once');
  t.true((await sendAndCount(lines, qemu)) >= 2, 'and the frame');
  await lines.close();
});

test('what was handed on is not closed by the role that ends', async (t) => {
  const { network, qemu } = await standby(t);
  network.connect([]);
  const lines = network.handOn();
  await network.close();
  t.true((await sendAndCount(lines, qemu)) >= 2);
  await lines.close();
});

test('logged input is told to the guest in order, however much it is', async (t) => {
  const { network, qemu, events } = await standby(t);
  // More than a cable takes at once, from a QEMU that reads late, as one that still loads does.
  const frames = Array.from({ length: 200 }, (_, index) => ({
    card: 0,
    frame: Buffer.alloc(60_000, index),
  }));
  const came: number[] = [];
  network.connect(frames);
  await sleep(50);
  const splitter = new FrameSplitter((piece) => came.push(piece[0]!));
  qemu.on('data', (piece) => splitter.push(piece));
  while (came.length < frames.length) await sleep(5);
  t.deepEqual(
    came,
    frames.map(({ frame: told }) => told[0]!),
  );
  while (events.length === 0) await sleep(5);
  t.like(events[0], { kind: 'replay', frames: 200, replayed: 200 });
  await network.handOn().close();
});

test('what the old host still got for the guest is told behind what it is told again', async (t) => {
  const { network, qemu } = await standby(t);
  const frameOf = (number: number) => ({ card: 0, frame: new Uint8Array(60).fill(number) });
  const came: number[] = [];
  const splitter = new FrameSplitter((piece) => came.push(piece[0]!));
  qemu.on('data', (piece) => splitter.push(piece));
  network.connect([frameOf(1), frameOf(2)]);
  network.tell([frameOf(3)]);
  while (came.length < 3) await sleep(5);
  network.tell([frameOf(4)]);
  while (came.length < 4) await sleep(5);
  t.deepEqual(came, [1, 2, 3, 4]);
  await network.handOn().close();
});
