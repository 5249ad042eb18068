import { execFileSync } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AgentProcess } from '../../drill/agent-process.ts';
import { isStartedGuest } from '../../drill/lab.ts';
import { type SideFolders, sideFolders } from '../../drill/lab-config.ts';
import type { LabGuest } from '../../drill/lab-guest/build.ts';
import { type EventOf, isKind } from '../../drill/measure.ts';
import { makeRunFolder, type RunFolder, removeRunFolder } from '../../drill/run-folder.ts';
import { endRunProcesses, killIfThere } from '../../drill/run-processes.ts';
import { printConfig } from '../../shared/config/print.ts';
import type { TimedEvent } from '../../shared/observe/events.ts';
import { EmbeddedServer } from '../../shared/transport/embedded-server.ts';
import { processorSeconds } from '../processor-time.ts';
import type { Cell } from './cell.ts';
import { pin } from './cores.ts';
import { backupConfigOf, bridge, primaryConfigOf } from './pair-config.ts';

const stepMsMax = 90_000;
const stopMs = 10_000;

/** Of the two agents, all their threads together. */
export interface AgentSeconds {
  readonly primary: number;
  readonly backup: number;
}

/** One of the hosts on which the guest ever was: their agent, while it lives. */
interface Host {
  readonly name: string;
  readonly agent: AgentProcess;
}

/**
 * Two agents, a NATS server and a guest on a cable, in this process's own network namespace. The
 * guest is kept to one core, everything else to the other. After a failover the host that was
 * killed is gone for good: the guest's next backup is another host, which knows nothing of it.
 */
export class HostPair {
  readonly #guest: LabGuest;
  readonly #signal: AbortSignal;
  readonly #folder: RunFolder;
  readonly #server: EmbeddedServer;
  #hostCount = 0;
  #agentCount = 0;
  #primary: Host | undefined;
  #backup: Host | undefined;
  /** Index of the primary's first event since its backup was stopped, if it was. */
  #aloneFrom = 0;

  static async start(guest: LabGuest, signal: AbortSignal): Promise<HostPair> {
    setUpNetwork();
    pin(process.pid, 'agents');
    const folder = await makeRunFolder('/dev/shm');
    try {
      const server = await EmbeddedServer.start({ folder: join(folder.path, 'nats') });
      return new HostPair(guest, signal, folder, server);
    } catch (error) {
      await removeRunFolder(folder, false);
      throw error;
    }
  }

  private constructor(
    guest: LabGuest,
    signal: AbortSignal,
    folder: RunFolder,
    server: EmbeddedServer,
  ) {
    this.#guest = guest;
    this.#signal = signal;
    this.#folder = folder;
    this.#server = server;
  }

  /**
   * Starts a primary as the cell says; returns when its guest runs, unprotected. After a failover
   * that is where the guest is: the agent there ends, and another one takes the guest on.
   */
  async startPrimary(cell: Cell): Promise<void> {
    const survivor = this.#primary;
    await survivor?.agent.stop(stopMs);
    survivor?.agent.tail.close();
    const name = survivor?.name ?? (await this.#newHost());
    this.#primary = await this.#startAgent('primary', name, cell);
    const { agent } = this.#primary;
    const started = await this.#waitFor(agent, isStartedGuest, 'the guest to start');
    pin(started.pid, 'guest');
  }

  /** Starts the backup; returns when the guest is protected. */
  async startBackup(cell: Cell): Promise<void> {
    this.#backup = await this.#startAgent('backup', await this.#newHost(), cell);
    const standby = await this.#waitFor(this.#backup.agent, isKind('standby'), 'the standby');
    pin(standby.pid, 'guest');
    const { agent } = this.#primary!;
    await this.#waitFor(agent, isProtected, 'the guest to be protected', this.#aloneFrom);
  }

  /** The backup ends, and its host is gone for good; returns when the guest goes on alone. */
  async stopBackup(): Promise<void> {
    const { agent } = this.#primary!;
    this.primaryEvents();
    this.#aloneFrom = agent.tail.events.length;
    await this.#leave(this.#backup!);
    this.#backup = undefined;
    await this.#waitFor(agent, isAlone, 'the guest to go on alone', this.#aloneFrom);
    this.#aloneFrom = agent.tail.events.length;
  }

  /** What the primary has recorded so far. Throws where protection broke by itself. */
  primaryEvents(): readonly TimedEvent[] {
    const { tail } = this.#primary!.agent;
    tail.poll();
    const broken = tail.events.slice(this.#aloneFrom).find(isUnprotected);
    if (broken !== undefined) throw new Error(`protection broke: ${broken.cause}`);
    return tail.events;
  }

  /** Seconds of processor time that the agents have used, each since it was started. */
  agentSeconds(): AgentSeconds {
    return {
      primary: processorSeconds(this.#primary!.agent.pid),
      backup: processorSeconds(this.#backup!.agent.pid),
    };
  }

  /** SIGKILL to the primary agent and its guest. Returns when the backup has taken over. */
  async killPrimaryHost(killed: () => void): Promise<EventOf<'takeover'>> {
    const [dead, survivor] = [this.#primary!, this.#backup!];
    dead.agent.tail.poll();
    const guest = dead.agent.tail.events.findLast(isStartedGuest);
    dead.agent.kill('SIGKILL');
    if (guest !== undefined) killIfThere(guest.pid, 'SIGKILL');
    killed();
    const takeover = await this.#waitFor(survivor.agent, isKind('takeover'), 'the takeover');
    // Where the backup came to another QEMU than the first.
    pin(takeover.pid, 'guest');
    [this.#primary, this.#backup, this.#aloneFrom] = [survivor, undefined, 0];
    await this.#leave(dead);
    return takeover;
  }

  /** The last lines of the logs and of the guest's console, for a step that failed. */
  async lastLogLines(): Promise<string> {
    const hosts = [this.#primary, this.#backup].filter((host) => host !== undefined);
    const logs = hosts.flatMap(({ name, agent }) => [name, ...agent.lastLines(15)]);
    const consoles = hosts.map(async ({ name }) => {
      const text = await readFile(this.#side(name).serialLog, 'utf8').catch(() => '');
      return [`console of ${name}`, ...text.trim().split('\n').slice(-5)];
    });
    return [...logs, ...(await Promise.all(consoles)).flat()].join('\n');
  }

  async takeDown(): Promise<void> {
    for (const host of [this.#primary, this.#backup]) {
      host?.agent.kill('SIGKILL');
      await host?.agent.stop(stopMs);
      host?.agent.tail.close();
    }
    await this.#server.stop();
    await endRunProcesses(this.#folder.mark, stopMs);
    await removeRunFolder(this.#folder, false);
  }

  /** No agent of this host comes again. */
  async #leave({ name, agent }: Host): Promise<void> {
    await agent.stop(stopMs);
    agent.tail.close();
    await rm(join(this.#folder.memoryPath, name), { recursive: true, force: true });
  }

  async #newHost(): Promise<string> {
    const name = `host${this.#hostCount++}`;
    await mkdir(join(this.#folder.memoryPath, name));
    await mkdir(join(this.#folder.path, name));
    return name;
  }

  #side(name: string): SideFolders {
    return sideFolders(name, this.#folder.path, this.#folder.memoryPath, []);
  }

  async #startAgent(role: 'primary' | 'backup', name: string, cell: Cell): Promise<Host> {
    const folder = this.#folder.path;
    // Another agent of the same host says what it does in a file of its own.
    const nameOfFile = `${role}${this.#agentCount++}`;
    const eventsFile = join(folder, `${nameOfFile}.jsonl`);
    const side = { ...this.#side(name), eventsFile };
    const configOf = role === 'primary' ? primaryConfigOf : backupConfigOf;
    const config = configOf(cell, this.#guest, side, this.#server.url);
    const configFile = join(folder, `${nameOfFile}.yaml`);
    await writeFile(configFile, printConfig(config));
    const runFolder = folder;
    return {
      name,
      agent: new AgentProcess({ role, configFile, eventsFile, runFolder, enter: [] }),
    };
  }

  async #waitFor<E extends TimedEvent>(
    agent: AgentProcess,
    matches: (event: TimedEvent) => event is E,
    what: string,
    from = 0,
  ): Promise<E> {
    const givenUp = () => agent.ended && `the ${agent.role} agent ${agent.ended}`;
    const wait = { what, from, deadlineMs: stepMsMax, givenUp, signal: this.#signal };
    return (await agent.tail.waitFor(matches, wait)).event;
  }
}

const isProtected = (event: TimedEvent): event is EventOf<'state'> =>
  event.kind === 'state' && event.role === 'primary' && event.to === 'protected';

const isUnprotected = (event: TimedEvent): event is EventOf<'state'> =>
  event.kind === 'state' && event.role === 'primary' && event.from === 'protected';

const isAlone = (event: TimedEvent): event is EventOf<'state'> =>
  event.kind === 'state' && event.role === 'primary' && event.to === 'joining';

function setUpNetwork(): void {
  const ip = (words: string) => execFileSync('ip', words.split(' '));
  ip('link set lo up');
  // An address of its own: otherwise it is that of a port, and changes when that port goes.
  ip(`link add ${bridge.name} address 02:00:00:00:00:01 type bridge`);
  ip(`addr add ${bridge.address} dev ${bridge.name}`);
  ip(`link set ${bridge.name} up`);
}
