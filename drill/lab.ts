import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { monotonicClock } from '../shared/clock.ts';
import { printConfig } from '../shared/config/print.ts';
import type { LabConfig } from '../shared/config/schema.ts';
import type { TimedEvent } from '../shared/observe/events.ts';
import { EmbeddedServer } from '../shared/transport/embedded-server.ts';
import { AgentProcess } from './agent-process.ts';
import type { Check } from './check.ts';
import { stepError } from './drill-error.ts';
import { findFreePorts } from './free-port.ts';
import {
  backupConfig,
  countForwards,
  type LabNats,
  primaryConfig,
  type SideFolders,
  sideFolders,
} from './lab-config.ts';
import { makeDisks } from './lab-disks.ts';
import { type EventOf, isKind } from './measure.ts';
import type { HostName, LabNetwork } from './network/lab-network.ts';
import { NatsServers } from './network/nats-servers.ts';
import { makeRunFolder, type RunFolder, removeRunFolder } from './run-folder.ts';
import { endRunProcesses, killIfThere, readCommand } from './run-processes.ts';
import type { SlowDisks } from './slow-disks.ts';

const stopMs = 10_000;

export const isStartedGuest = (event: TimedEvent): event is EventOf<'guest'> =>
  event.kind === 'guest' && (event.change === 'started' || event.change === 'adopted');

export interface LabOptions {
  readonly config: LabConfig;
  /** True where both sides' host ports are free to choose, as nobody knows them before. */
  readonly choosePorts: boolean;
  /** Where each host has a network namespace of its own; undefined: all are on this machine's. */
  readonly network: LabNetwork | undefined;
  readonly signal: AbortSignal;
}

/**
 * Two hosts and their NATS on one machine, each agent a process of its own. Host `a` is the one
 * that starts as the primary; roles change, hosts do not.
 */
export class Lab {
  readonly folder: RunFolder;
  readonly primarySide: SideFolders;
  readonly backupSide: SideFolders;
  readonly network: LabNetwork | undefined;
  /** Set by the scenario: when the guest began to serve its client. */
  servesFromMs: number | undefined;
  /** Set by the scenario, before it starts agents, that makes disks slow. */
  slowDisks: SlowDisks | undefined;
  readonly #options: LabOptions;
  #server: EmbeddedServer | undefined;
  #servers: NatsServers | undefined;
  readonly #agents: Partial<Record<HostName, AgentProcess>> = {};
  /** What agents recorded that were started again since. */
  readonly #past: Record<HostName, TimedEvent[]> = { a: [], b: [] };
  #starts = 0;
  #isTakenDown = false;

  private constructor(options: LabOptions, folder: RunFolder, ports: readonly number[]) {
    this.#options = options;
    this.folder = folder;
    this.network = options.network;
    const count = ports.length / 2;
    const side = (name: 'primary' | 'backup', hostPorts: readonly number[]) =>
      sideFolders(name, folder.path, folder.memoryPath, hostPorts);
    this.primarySide = side('primary', options.choosePorts ? ports.slice(0, count) : []);
    this.backupSide = side('backup', ports.slice(count));
  }

  static async create(options: LabOptions): Promise<Lab> {
    const { guest } = options.config;
    const ports = await findFreePorts(2 * countForwards(guest));
    return new Lab(options, await makeRunFolder(guest.memoryFolder), ports);
  }

  get primary(): AgentProcess {
    return this.agent('a');
  }

  get backup(): AgentProcess {
    return this.agent('b');
  }

  agent(host: HostName): AgentProcess {
    const agent = this.#agents[host];
    if (agent === undefined) throw new Error(`host ${host} of the lab has no agent yet`);
    return agent;
  }

  /** NATS servers in namespaces of their own. Throws where the lab has none. */
  get servers(): NatsServers {
    if (this.#servers === undefined) throw new Error('the lab has no NATS servers of its own');
    return this.#servers;
  }

  /** Process of the one NATS server. Throws where the lab has servers of its own. */
  get serverPid(): number {
    if (this.#server === undefined) throw new Error('the lab has no single NATS server');
    return this.#server.pid;
  }

  /** Everything that the agents have recorded so far; nothing if they were never started. */
  get primaryEvents(): readonly TimedEvent[] {
    return this.events('a');
  }

  get backupEvents(): readonly TimedEvent[] {
    return this.events('b');
  }

  events(host: HostName): readonly TimedEvent[] {
    return [...this.#past[host], ...(this.#agents[host]?.tail.events ?? [])];
  }

  /** Reads what the agents recorded since the last time. */
  poll(): void {
    for (const agent of Object.values(this.#agents)) agent.tail.poll();
  }

  /** Process of the guest that was resumed, or failing that of the guest that is protected. */
  runningGuestPid(): number | undefined {
    const takeover = this.backupEvents.findLast(isKind('takeover'));
    if (takeover !== undefined) return takeover.pid;
    return this.primaryEvents.findLast(isStartedGuest)?.pid;
  }

  sideOf(host: HostName): SideFolders {
    return host === 'a' ? this.primarySide : this.backupSide;
  }

  /** Makes the images of replicated disks. Throws `E_DRILL_DISKS`, `E_DRILL_TOOL`. */
  async makeDisks(): Promise<void> {
    await makeDisks(this.#options.config, this.primarySide, this.backupSide);
  }

  async startServer(): Promise<void> {
    const { network } = this;
    if (network === undefined) {
      this.#server = await EmbeddedServer.start({ folder: join(this.folder.path, 'nats') });
    } else {
      this.#servers = await NatsServers.start(network, this.folder.path);
    }
  }

  async startPrimary(): Promise<void> {
    await this.start('a');
  }

  async startBackup(): Promise<void> {
    await this.start('b');
  }

  /** Starts the host's agent, or starts it again as its operator would: from the same file. */
  async start(host: HostName): Promise<void> {
    const { config } = this.#options;
    this.#starts += 1;
    const before = this.#agents[host];
    before?.tail.poll();
    before?.tail.close();
    this.#past[host].push(...(before?.tail.events ?? []));
    const folders = this.sideOf(host);
    // An agent that was killed may have left half a line in its file.
    const eventsFile =
      before === undefined ? folders.eventsFile : `${folders.eventsFile}.${this.#starts}`;
    const side = { ...folders, eventsFile };
    const role = host === 'a' ? 'primary' : 'backup';
    const file =
      role === 'primary'
        ? primaryConfig(config, side, this.#nats())
        : backupConfig(config, side, this.#nats());
    const configFile = join(this.folder.path, `${role}.yaml`);
    await writeFile(configFile, printConfig(file));
    const preload = this.slowDisks?.preload(host, folders) ?? [];
    const enter = [...(this.network?.host(host).enter ?? []), ...preload];
    const runFolder = this.folder.path;
    this.#agents[host] = new AgentProcess({ role, configFile, eventsFile, runFolder, enter });
  }

  /**
   * Waits for an event of an agent while all of `alive` have to run. Throws `E_DRILL_STEP` at the
   * configured deadline, or as soon as one of them ends.
   */
  async waitFor<E extends TimedEvent>(
    agent: AgentProcess,
    matches: (event: TimedEvent) => event is E,
    wait: { what: string; alive: readonly AgentProcess[]; from?: number },
  ): Promise<{ event: E; index: number }> {
    const givenUp = () => {
      const ended = wait.alive.find((one) => one.ended !== undefined);
      return ended && `the ${ended.role} agent ${ended.ended}`;
    };
    const { deadlineMs } = this.#options.config.drill;
    const { signal } = this.#options;
    return agent.tail.waitFor(matches, { ...wait, deadlineMs, givenUp, signal });
  }

  /** Process of the guest that the primary started. */
  guestPid(): number {
    this.primary.tail.poll();
    const started = this.primaryEvents.findLast(isStartedGuest);
    if (started === undefined) throw stepError('the primary started no guest');
    return started.pid;
  }

  /** The primary's host dies. Returns the instant before. */
  async killPrimaryHost(): Promise<number> {
    if (this.network !== undefined) return await this.powerOff('a');
    return this.#killHost(this.primary, this.guestPid());
  }

  /** The same on the other side, where the standby's QEMU waits. */
  async killBackupHost(): Promise<number> {
    if (this.network !== undefined) return await this.powerOff('b');
    this.backup.tail.poll();
    const standby = this.backupEvents.findLast(isKind('standby'));
    if (standby === undefined) throw stepError('the backup has no standby');
    return this.#killHost(this.backup, standby.pid);
  }

  /** Ends all that runs on a host with a namespace, and its links. Returns the instant before. */
  async powerOff(host: HostName): Promise<number> {
    const instantMs = monotonicClock.nowMs();
    await this.network?.powerOff(host);
    return instantMs;
  }

  /**
   * Ends every process and removes what they made; the logs stay if `keepLogs`. Says whether it
   * worked. A second call does nothing.
   */
  async takeDown(keepLogs: boolean): Promise<Check> {
    const name = 'nothing-left';
    if (this.#isTakenDown) return { name, ok: true, detail: 'already taken down' };
    this.#isTakenDown = true;
    // One that was left frozen could not be asked.
    for (const host of ['a', 'b'] as const) this.network?.host(host).signalAll('SIGCONT');
    const stops = Object.values(this.#agents).map(async (agent) => {
      await agent.stop(stopMs);
      agent.tail.poll();
      agent.tail.close();
    });
    await Promise.all(stops);
    this.#servers?.stop();
    await this.#server?.stop();
    const left = await endRunProcesses(this.folder.mark, stopMs);
    this.network?.close();
    await removeRunFolder(this.folder, keepLogs);
    const detail =
      left.length === 0
        ? 'every process of the drill ended, its memory files are removed'
        : `still there: ${left.map(({ pid, command }) => `${pid} ${command}`).join('; ')}`;
    return { name, ok: left.length === 0, detail };
  }

  /** The last lines of each log, for a step that failed. */
  lastLogLines(count: number): { log: string; lines: string[] }[] {
    const agents = Object.values(this.#agents);
    return [
      ...agents.map((agent) => ({ log: agent.logFile, lines: agent.lastLines(count) })),
      ...(this.#servers?.lastLogLines(count) ?? []),
    ];
  }

  #nats(): LabNats {
    if (this.#servers !== undefined) {
      const { urls } = this.#servers;
      return { servers: [...urls], replicas: urls.length };
    }
    if (this.#server === undefined) throw new Error('the lab has no server yet');
    return { servers: [this.#server.url], replicas: 1 };
  }

  #killHost(agent: AgentProcess, guestPid: number): number {
    const command = readCommand(guestPid);
    if (!command?.includes(this.folder.mark)) {
      throw stepError(`process ${guestPid} is not a guest of this drill`, { guestPid });
    }
    const instantMs = monotonicClock.nowMs();
    agent.kill('SIGKILL');
    killIfThere(guestPid, 'SIGKILL');
    return instantMs;
  }
}
