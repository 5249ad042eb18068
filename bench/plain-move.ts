import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Gap } from '../drill/checkers/sequence-history.ts';
import { ClientProcess } from '../drill/client/client-process.ts';
import { buildLabGuest, type LabGuest } from '../drill/lab-guest/build.ts';
import {
  clientAddress,
  guestAddress,
  guestMac,
  type HostName,
  hostBridge,
  LabNetwork,
} from '../drill/network/lab-network.ts';
import { QmpClient } from '../shared/qemu/qmp.ts';
import { guestReady } from './guest-ready.ts';

export interface PlainMove {
  /** The client's longest time without an answer after the guest was held for `heldMs`. */
  readonly heldGapMs: number;
  /** And after it was moved. */
  readonly movedGapMs: number;
}

/** About as long as a guest stands still for a switchover. */
export const heldMs = 50;

const memoryBytes = 512 * 2 ** 20;
const beginMs = 90_000;
const migrationMs = 60_000;
/** Before an event the client works; what it waits for in so long after it, counts. */
const settleMs = 2000;
const afterMs = 3000;

/**
 * The lab guest and the client of a drill, without agents, NATS or epochs: QEMU itself moves the
 * guest to another QEMU, on another host of the drill's network. Both map one file as its RAM, so
 * that no RAM is copied (`x-ignore-shared`). Throws where QEMU refuses, or the client's
 * connection does not survive.
 */
export async function movePlainGuest(load: string): Promise<PlainMove> {
  const labGuest = await buildLabGuest();
  const folder = await mkdtemp(join(tmpdir(), 'understudy-bench-'));
  const ram = join('/dev/shm', basename(folder));
  const network = await LabNetwork.create(0);
  const client = new ClientProcess(network.client, basename(folder));
  const qemus: PlainQemu[] = [];
  const start = async (host: HostName, ...extra: string[]): Promise<QmpClient> => {
    const qemu = await PlainQemu.start({ network, host, folder, ram, labGuest, load, extra });
    qemus.push(qemu);
    return qemu.qmp;
  };
  try {
    await mkdir(ram);
    const from = await start('a');
    await guestReady(join(folder, 'console-a.log'));
    await client.begin(guestAddress, beginMs);
    await sleep(settleMs);

    const heldAtMs = nowMs();
    await from.execute('stop');
    await sleep(heldMs);
    await from.execute('cont');
    await sleep(afterMs);

    const incoming = `unix:${join(folder, 'stream.sock')}`;
    const to = await start('b', '-incoming', 'defer');
    await ignoreSharedRam(to);
    await ignoreSharedRam(from);
    await to.execute('migrate-incoming', { uri: incoming });
    await sleep(settleMs);
    const movedAtMs = nowMs();
    await from.execute('migrate', { uri: incoming });
    await completed(from);
    await sleep(afterMs);

    const { gaps, storeBrokenBy } = await client.finish(guestAddress, []);
    if (storeBrokenBy !== null) throw new Error(`the client's connection: ${storeBrokenBy}`);
    return { heldGapMs: longest(gaps, heldAtMs), movedGapMs: longest(gaps, movedAtMs) };
  } finally {
    client.kill();
    for (const qemu of qemus) await qemu.end();
    network.close();
    await rm(folder, { recursive: true, force: true });
    await rm(ram, { recursive: true, force: true });
  }
}

interface PlainQemuOptions {
  readonly network: LabNetwork;
  readonly host: HostName;
  readonly folder: string;
  readonly ram: string;
  readonly labGuest: LabGuest;
  readonly load: string;
  readonly extra: readonly string[];
}

class PlainQemu {
  readonly qmp: QmpClient;
  readonly end: () => Promise<void>;

  private constructor(qmp: QmpClient, end: () => Promise<void>) {
    this.qmp = qmp;
    this.end = end;
  }

  static async start(options: PlainQemuOptions): Promise<PlainQemu> {
    const { network, host, folder, ram, labGuest, load, extra } = options;
    const namespace = network.host(host);
    await namespace.ip('tuntap add tap0 mode tap', `link set tap0 master ${hostBridge} up`);
    const monitor = join(folder, `${host}.sock`);
    const words = `${labGuest.append} lab.ip=${guestAddress}/24 lab.gw=${clientAddress} ${load}`;
    const backend = `memory-backend-file,id=ram,size=${memoryBytes},mem-path=${ram}/ram,share=on`;
    const qemu = [
      ...['qemu-system-x86_64', '-nodefaults', '-no-user-config', '-display', 'none'],
      ...['-vga', 'none', '-machine', 'pc-i440fx-7.2,memory-backend=ram', '-accel', 'tcg'],
      ...['-cpu', 'qemu64,+rdrand', '-m', `size=${memoryBytes / 1024}k`, '-object', backend],
      ...['-kernel', labGuest.kernel, '-initrd', labGuest.initrd, '-append', words],
      ...['-serial', `file:${join(folder, `console-${host}.log`)}`],
      ...['-netdev', 'tap,id=lan,ifname=tap0,script=no,downscript=no'],
      ...['-device', `virtio-net-pci,netdev=lan,mac=${guestMac},romfile=`],
      ...['-qmp', `unix:${monitor},server=on,wait=off`],
      ...extra,
    ];
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...namespace.enter, ...qemu], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const ended = new Promise<void>((resolve) => {
      child.on('error', () => resolve());
      child.on('exit', () => resolve());
    });
    const end = async (): Promise<void> => {
      child.kill('SIGKILL');
      await ended;
    };
    try {
      return new PlainQemu(await QmpClient.connect({ path: monitor, timeoutMs: 20_000 }), end);
    } catch (error) {
      await end();
      throw error;
    }
  }
}

async function ignoreSharedRam(qmp: QmpClient): Promise<void> {
  const capabilities = [{ capability: 'x-ignore-shared', state: true }];
  await qmp.execute('migrate-set-capabilities', { capabilities });
}

async function completed(qmp: QmpClient): Promise<void> {
  const endAtMs = nowMs() + migrationMs;
  for (;;) {
    const { status } = await qmp.execute<{ status?: string }>('query-migrate');
    if (status === 'completed') return;
    if (status === 'failed' || nowMs() > endAtMs) throw new Error(`QEMU's migration: ${status}`);
    await sleep(20);
  }
}

/** Of those that had not ended at `atMs` and began at most `afterMs` later. */
function longest(gaps: readonly Gap[], atMs: number): number {
  const own = gaps.filter(({ fromMs, toMs }) => toMs > atMs && fromMs < atMs + afterMs);
  if (own.length === 0) throw new Error('longer times without an answer hide the one looked for');
  return Math.max(...own.map(({ fromMs, toMs }) => toMs - fromMs));
}

const nowMs = () => Number(process.hrtime.bigint()) / 1e6;
