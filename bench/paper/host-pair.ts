import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
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
import type { Cell } from './cell.ts';
import { pin } from './cores.ts';
import { backupConfigOf, bridge, primaryConfigOf } from './pair-config.ts';

const stepMsMax = 90_000;
const stopMs = 10_000;

/**
 * Two agents, a NATS server and a guest on a cable, in this process's own network namespace. The
 * guest is kept to one core, everything else to the other.
 */
export class HostPair {
  readonly #cell: Cell;
  readonly #guest: LabGuest;
  readonly #signal: AbortSignal;
  readonly #folder: RunFolder;
  readonly #server: EmbeddedServer;
  #primary: AgentProcess | undefined;
  #backup: AgentProcess | undefined;

  static async start(cell: Cell, guest: LabGuest, signal: AbortSignal): Promise<HostPair> {
    setUpNetwork();
    pin(process.pid, 'agents');
    const folder = await makeRunFolder('/dev/shm');
    try {
      const server = await EmbeddedServer.start({ folder: join(folder.path, 'nats') });
      return new HostPair({ cell, guest, signal, folder, server });
    } catch (error) {
      await removeRunFolder(folder, false);
      throw error;
    }
  }

  private constructor(parts: {
    cell: Cell;
    guest: LabGuest;
    signal: AbortSignal;
    folder: RunFolder;
    server: EmbeddedServer;
  }) {
    this.#cell = parts.cell;
    this.#guest = parts.guest;
    this.#signal = parts.signal;
    this.#folder = parts.folder;
    this.#server = parts.server;
  }

  /** Starts the primary; returns when its guest runs, unprotected. */
  async startPrimary(): Promise<void> {
    const side = this.#side('primary');
    const config = primaryConfigOf(this.#cell, this.#guest, side, this.#server.url);
    this.#primary = await this.#startAgent('primary', printConfig(config), side);
    const started = await this.#waitFor(this.#primary, isStartedGuest, 'the guest to start');
    pin(started.pid, 'guest');
  }

  /** Starts the backup; returns when the guest is protected. */
  async startBackup(): Promise<void> {
    const side = this.#side('backup');
    const config = backupConfigOf(this.#cell, this.#guest, side, this.#server.url);
    this.#backup = await this.#startAgent('backup', printConfig(config), side);
    const standby = await this.#waitFor(this.#backup, isKind('standby'), 'the standby');
    pin(standby.pid, 'guest');
    await this.#waitFor(this.#primary!, isProtected, 'the guest to be protected');
  }

  /** What the primary has recorded so far. Throws where protection broke. */
  primaryEvents(): readonly TimedEvent[] {
    const primary = this.#primary!;
    primary.tail.poll();
    const broken = primary.tail.events.find(isUnprotected);
    if (broken !== undefined) throw new Error(`protection broke: ${broken.cause}`);
    return primary.tail.events;
  }

  /** SIGKILL to the primary agent and its guest. Returns when the backup has taken over. */
  async killPrimaryHost(killed: () => void): Promise<EventOf<'takeover'>> {
    const primary = this.#primary!;
    primary.tail.poll();
    const guest = primary.tail.events.findLast(isStartedGuest);
    primary.kill('SIGKILL');
    if (guest !== undefined) killIfThere(guest.pid, 'SIGKILL');
    killed();
    const takeover = await this.#waitFor(this.#backup!, isKind('takeover'), 'the takeover');
    // Where the backup came to another QEMU than the first.
    pin(takeover.pid, 'guest');
    return takeover;
  }

  /** The last lines of the logs and of the guest's console, for a step that failed. */
  async lastLogLines(): Promise<string> {
    const console = await readFile(this.#side('primary').serialLog, 'utf8').catch(() => '');
    const logs = [this.#primary, this.#backup].flatMap((agent) =>
      agent === undefined ? [] : [agent.role, ...agent.lastLines(15)],
    );
    return [...logs, 'console', ...console.trim().split('\n').slice(-5)].join('\n');
  }

  async takeDown(): Promise<void> {
    for (const agent of [this.#primary, this.#backup]) {
      agent?.kill('SIGKILL');
      await agent?.stop(stopMs);
      agent?.tail.close();
    }
    await this.#server.stop();
    await endRunProcesses(this.#folder.mark, stopMs);
    await removeRunFolder(this.#folder, false);
  }

  #side(name: 'primary' | 'backup'): SideFolders {
    return sideFolders(name, this.#folder.path, this.#folder.memoryPath, []);
  }

  async #startAgent(role: 'primary' | 'backup', config: string, side: SideFolders) {
    const configFile = join(this.#folder.path, `${role}.yaml`);
    await writeFile(configFile, config);
    const { eventsFile } = side;
    const runFolder = this.#folder.path;
    return new AgentProcess({ role, configFile, eventsFile, runFolder, enter: [] });
  }

  async #waitFor<E extends TimedEvent>(
    agent: AgentProcess,
    matches: (event: TimedEvent) => event is E,
    what: string,
  ): Promise<E> {
    const givenUp = () => agent.ended && `the ${agent.role} agent ${agent.ended}`;
    const wait = { what, deadlineMs: stepMsMax, givenUp, signal: this.#signal };
    return (await agent.tail.waitFor(matches, wait)).event;
  }
}

const isProtected = (event: TimedEvent): event is EventOf<'state'> =>
  event.kind === 'state' && event.role === 'primary' && event.to === 'protected';

const isUnprotected = (event: TimedEvent): event is EventOf<'state'> =>
  event.kind === 'state' && event.role === 'primary' && event.from === 'protected';

function setUpNetwork(): void {
  const ip = (words: string) => execFileSync('ip', words.split(' '));
  ip('link set lo up');
  // An address of its own: otherwise it is that of a port, and changes when that port goes.
  ip(`link add ${bridge.name} address 02:00:00:00:00:01 type bridge`);
  ip(`addr add ${bridge.address} dev ${bridge.name}`);
  ip(`link set ${bridge.name} up`);
}
