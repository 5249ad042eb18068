import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { buildLabGuest } from '../../drill/lab-guest/build.ts';
import type { GateLimits } from '../../primary/output/output-gate.ts';
import type { GuestName } from '../../shared/ids.ts';
import { cableCards } from '../../shared/qemu/cable-cards.ts';
import type { GuestConfig } from '../../shared/qemu/guest-options.ts';
import { QemuGuest } from '../../shared/qemu/qemu-guest.ts';
import { Namespace, type Process } from '../shared/net/namespace.ts';
import type { CableAgentCounts, CableCommand } from './cable-agent.ts';

const agentModule = new URL('./cable-agent.js', import.meta.url);
const clientModule = new URL('./line-client.js', import.meta.url);
const guestAddress = '10.77.0.2';

/**
 * The lab guest on a cable; the agent's part in one namespace, with a bridge; a client in another,
 * on a veth pair to that bridge.
 */
async function lab(t: ExecutionContext) {
  const config = await guestConfig(t);
  const host = await Namespace.create(t);
  const outside = await Namespace.create(t);
  host.ip('link add br0 type bridge');
  host.ip('link set br0 up');
  host.ip(`link add veth0 type veth peer name eth0 netns ${outside.pid}`);
  host.ip('link set veth0 master br0 up');
  outside.ip('addr add 10.77.0.1/24 dev eth0');
  outside.ip('link set eth0 up');
  const guest = await QemuGuest.start(config);
  t.teardown(async () => {
    await guest.terminate();
    await guest.detach();
  });
  return { guest, host, outside, config };
}

async function guestConfig(t: ExecutionContext): Promise<GuestConfig> {
  const { kernel, initrd, append } = await buildLabGuest();
  const runFolder = mkdtempSync(join(tmpdir(), 'us-'));
  const memoryFolder = mkdtempSync('/dev/shm/us-');
  mkdirSync(join(runFolder, 'run'));
  t.teardown(() => {
    rmSync(runFolder, { recursive: true, force: true });
    rmSync(memoryFolder, { recursive: true, force: true });
  });
  return {
    ...{ name: 'cabled' as GuestName, memoryBytes: 256 * 2 ** 20, vcpus: 1, accelerator: 'tcg' },
    ...{ kernel, initrd, disks: [], extraArguments: [], memoryFolder },
    append: `${append} lab.counter=0 lab.ip=${guestAddress}/24 lab.gw=10.77.0.1`,
    networks: [{ kind: 'cable', mac: null, uplink: { kind: 'tap', name: 'tap0', bridge: 'br0' } }],
    runFolder: join(runFolder, 'run'),
  };
}

type Told = (command: CableCommand) => Promise<CableAgentCounts>;

async function startAgent(
  host: Namespace,
  config: GuestConfig,
  limits?: GateLimits,
): Promise<[Told, Process]> {
  const process = host.fork(agentModule);
  const tell: Told = (command) => process.ask<CableAgentCounts>(command);
  await tell({ do: 'open', cards: cableCards(config), limits });
  return [tell, process];
}

/** The service may still be starting: connections to it are refused then. */
async function connectClient(outside: Namespace): Promise<Process> {
  for (let tries = 0; tries < 200; tries++) {
    const client = outside.fork(clientModule, [guestAddress, '6379']);
    if ((await client.next<string>()) === 'connected') return client;
    await client.kill();
    await sleep(200);
  }
  throw new Error('no connection to the guest');
}

async function heldAtLeast(tell: Told, frames: number): Promise<void> {
  for (const end = performance.now() + 120_000; ; await sleep(20)) {
    if ((await tell({ do: 'counts' })).heldFrames >= frames) return;
    if (performance.now() > end) throw new Error(`no ${frames} frames were held`);
  }
}

/** Whether the answer comes within `ms`. */
async function answers(answer: Promise<string>, ms: number): Promise<boolean> {
  return await Promise.race([answer.then(() => true), sleep(ms, false)]);
}

test('a client hears from the guest only what the backup has acknowledged', async (t) => {
  const { guest, host, outside, config } = await lab(t);
  const [tell, process] = await startAgent(host, config);
  await tell({ do: 'releaseAll' });
  const client = await connectClient(outside);
  t.is(await client.ask('INCR n'), ':1');
  let number = 0;
  const checkpoint = async (): Promise<number> => {
    number++;
    await tell({ do: 'pausing' });
    await guest.pause();
    await guest.saveDeviceState();
    await tell({ do: 'barrier', epoch: number });
    await guest.resume();
    await tell({ do: 'resumed' });
    return number;
  };
  /** Epochs flow until the answer is there: it may have missed the barrier of the first. */
  const delivered = async (answer: Promise<string>): Promise<string> => {
    while (!(await answers(answer, 20))) {
      await tell({ do: 'acknowledged', epoch: await checkpoint() });
    }
    return await answer;
  };

  await tell({ do: 'hold' });
  const second = client.ask<string>('INCR n');
  await heldAtLeast(tell, 1);
  t.false(await answers(second, 300), 'before the checkpoint');
  const first = await checkpoint();
  t.false(await answers(second, 300), 'before the acknowledgement');
  await tell({ do: 'acknowledged', epoch: first });
  t.is(await delivered(second), ':2');

  // A client that goes on while epochs flow.
  for (let value = 3; value <= 12; value++) {
    t.is(await delivered(client.ask('INCR n')), `:${value}`);
  }

  // The agent dies beside its running guest; the next one has the cable, and the client its
  // connection: what was held is gone, and TCP sends it again.
  const lost = client.ask<string>('INCR n');
  await heldAtLeast(tell, 1);
  await process.kill();
  const [tellNext] = await startAgent(host, config);
  t.false(await answers(lost, 300), 'a new agent holds too');
  await tellNext({ do: 'releaseAll' });
  await tellNext({ do: 'announce' });
  t.is(await lost, ':13');
  t.is(await client.ask('INCR n'), ':14');

  // Superseded: not a frame more.
  const { releasedFrames } = await tellNext({ do: 'drop' });
  const never = client.ask<string>('INCR n');
  never.catch(() => {});
  t.false(await answers(never, 1000), 'after another copy took over');
  const last = await tellNext({ do: 'counts' });
  t.is(last.releasedFrames, releasedFrames);
  t.true(last.discardedFrames > 0);
  t.deepEqual(last.warnings, []);
});

test('a guest that says more than may be held is slowed by checkpoints and loses nothing', async (t) => {
  const { guest, host, outside, config } = await lab(t);
  const [tell] = await startAgent(host, config, {
    ...{ bytesMax: 60_000, framesMax: 1000, nearlyFullShare: 0.5, resumeShare: 0.75 },
    reserveBytes: 16 * 2 ** 20,
  });
  await tell({ do: 'releaseAll' });
  const client = await connectClient(outside);
  const size = 3_000_000;
  t.is(await client.ask(`SETRANGE big ${size - 1} x`), `:${size}`);
  await tell({ do: 'hold' });
  const whole = client
    .ask<string>('GET big')
    .then(async (first) => `${first} ${(await client.next<string>()).length}`);
  let number = 0;
  while (!(await answers(whole, 20))) {
    number++;
    await tell({ do: 'pausing' });
    await guest.pause();
    await tell({ do: 'barrier', epoch: number });
    await guest.resume();
    await tell({ do: 'resumed' });
    await tell({ do: 'acknowledged', epoch: number });
  }
  t.is(await whole, `$${size} ${size}`);
  const counts = await tell({ do: 'counts' });
  t.true(counts.fullTimes > 0, 'it was full');
  t.true(counts.wantedCheckpoints > 0, 'and asked for checkpoints before');
  t.is(counts.discardedFrames, 0);
  t.is(counts.sentByGuest, counts.releasedFrames + counts.heldFrames);
});
