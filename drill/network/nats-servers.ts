import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { serverPriority } from '../../shared/transport/server-priority.ts';
import { stepError } from '../drill-error.ts';
import type { LabNetwork } from './lab-network.ts';

const readyMs = 60_000;

/** The NATS of a drill: one server, or a cluster of three, each in a namespace of its own. */
export class NatsServers {
  readonly urls: readonly string[];
  readonly #network: LabNetwork;
  readonly #folder: string;
  readonly #children: (ChildProcess | undefined)[] = [];

  static async start(network: LabNetwork, folder: string): Promise<NatsServers> {
    const servers = new NatsServers(network, folder);
    for (const index of network.servers.keys()) await servers.start(index);
    await servers.#waitUntilReady();
    return servers;
  }

  private constructor(network: LabNetwork, folder: string) {
    this.#network = network;
    this.#folder = folder;
    this.urls = network.servers.map(({ address }) => `nats://${address}:4222`);
  }

  get count(): number {
    return this.urls.length;
  }

  /** Starts one, or starts it again. It keeps what it had stored. */
  async start(index: number): Promise<void> {
    const { namespace } = this.#network.servers[index]!;
    const config = join(this.#folder, `nats-${index}.conf`);
    await writeFile(config, this.#configOf(index));
    const log = openSync(this.#logOf(index), 'a');
    const command = [...namespace.enter, ...serverPriority(), 'nats-server', '-c', config];
    this.#children[index] = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...command], {
      stdio: ['ignore', log, log],
    });
    this.#children[index].on('error', () => {});
    closeSync(log);
  }

  kill(index: number): void {
    this.#children[index]?.kill('SIGKILL');
    this.#children[index] = undefined;
  }

  stop(): void {
    for (const index of this.#children.keys()) this.kill(index);
  }

  /** What their logs say last, for a step that failed. */
  lastLogLines(count: number): { log: string; lines: string[] }[] {
    return this.urls.map((_, index) => ({
      log: this.#logOf(index),
      lines: this.#readLog(index).trimEnd().split('\n').slice(-count),
    }));
  }

  #logOf(index: number): string {
    return join(this.#folder, `nats-${index}.log`);
  }

  #readLog(index: number): string {
    return readFileSync(this.#logOf(index), 'utf8');
  }

  #configOf(index: number): string {
    const { servers } = this.#network;
    const { address } = servers[index]!;
    const lines = [
      `server_name: n${index}`,
      `listen: ${address}:4222`,
      `jetstream { store_dir: "${join(this.#folder, `nats-${index}`)}" }`,
    ];
    if (servers.length > 1) {
      const routes = servers.map((server) => `nats://${server.address}:6222`).join(', ');
      lines.push(`cluster { name: drill, listen: "${address}:6222", routes: [${routes}] }`);
    }
    return `${lines.join('\n')}\n`;
  }

  /** A server says that it is ready; a cluster, that it has found a leader. */
  async #waitUntilReady(): Promise<void> {
    const isReady = (index: number) => this.#readLog(index).includes('Server is ready');
    const hasLeader = (index: number) =>
      this.#readLog(index).includes('JetStream cluster new metadata leader');
    const all = [...this.urls.keys()];
    const endAtMs = performance.now() + readyMs;
    while (!all.every(isReady) || (all.length > 1 && !all.some(hasLeader))) {
      const ended = this.#children.findIndex((child) => child?.exitCode !== null);
      if (ended >= 0 || performance.now() > endAtMs) {
        const index = Math.max(0, ended);
        throw stepError(`nats-server is not ready: ${this.#readLog(index).slice(-500)}`);
      }
      await sleep(10);
    }
  }
}
