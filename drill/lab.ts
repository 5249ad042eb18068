import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { monotonicClock } from '../shared/clock.ts';
import { printConfig } from '../shared/config/print.ts';
import type { AnyConfig, LabConfig } from '../shared/config/schema.ts';
import type { TimedEvent } from '../shared/observe/events.ts';
import { EmbeddedServer } from '../shared/transport/embedded-server.ts';
import { AgentProcess } from './agent-process.ts';
import type { Check } from './check.ts';
import { stepError } from './drill-error.ts';
import { findFreePorts } from './free-port.ts';
import {
  backupConfig,
  countForwards,
  primaryConfig,
  type SideFolders,
  sideFolders,
} from './lab-config.ts';
import { type EventOf, isKind } from './measure.ts';
import { makeRunFolder, type RunFolder, removeRunFolder } from './run-folder.ts';
import { endRunProcesses, killIfThere, readCommand } from './run-processes.ts';

const stopMs = 10_000;

export const isStartedGuest = (event: TimedEvent): event is EventOf<'guest'> =>
  event.kind === 'guest' && (event.change === 'started' || event.change === 'adopted');

export interface LabOptions {
  readonly config: LabConfig;
  /** True where both sides' host ports are free to choose, as nobody knows them before. */
  readonly choosePorts: boolean;
  readonly signal: AbortSignal;
}

/** Two hosts and a NATS server on one machine, each agent a process of its own. */
export class Lab {
  readonly folder: RunFolder;
  readonly primarySide: SideFolders;
  readonly backupSide: SideFolders;
  /** Set by the scenario: when the guest began to serve its client. */
  servesFromMs: number | undefined;
  readonly #options: LabOptions;
  #server: EmbeddedServer | undefined;
  #primary: AgentProcess | undefined;
  #backup: AgentProcess | undefined;
  #isTakenDown = false;

  private constructor(options: LabOptions, folder: RunFolder, ports: readonly number[]) {
    this.#options = options;
    this.folder = folder;
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
    if (this.#primary === undefined) throw new Error('the lab has no primary yet');
    return this.#primary;
  }

  get backup(): AgentProcess {
    if (this.#backup === undefined) throw new Error('the lab has no backup yet');
    return this.#backup;
  }

  /** Everything that the agents have recorded so far; nothing if they were never started. */
  get primaryEvents(): readonly TimedEvent[] {
    return this.#primary?.tail.events ?? [];
  }

  get backupEvents(): readonly TimedEvent[] {
    return this.#backup?.tail.events ?? [];
  }

  /** Process of the guest that was resumed, or failing that of the guest that is protected. */
  runningGuestPid(): number | undefined {
    const takeover = this.backupEvents.findLast(isKind('takeover'));
    if (takeover !== undefined) return takeover.pid;
    return this.primaryEvents.findLast(isStartedGuest)?.pid;
  }

  async startServer(): Promise<void> {
    this.#server = await EmbeddedServer.start({ folder: join(this.folder.path, 'nats') });
  }

  async startPrimary(): Promise<void> {
    const config = primaryConfig(this.#options.config, this.primarySide, this.#serverUrl());
    this.#primary = await this.#startAgent('primary', config, this.primarySide);
  }

  async startBackup(): Promise<void> {
    const config = backupConfig(this.#options.config, this.backupSide, this.#serverUrl());
    this.#backup = await this.#startAgent('backup', config, this.backupSide);
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

  /** SIGKILL to the primary agent and the guest's QEMU. Returns the instant before the first. */
  killPrimaryHost(): number {
    return this.#killHost(this.primary, this.guestPid());
  }

  /** The same on the other side, where the standby's QEMU waits. */
  killBackupHost(): number {
    this.backup.tail.poll();
    const standby = this.backupEvents.findLast(isKind('standby'));
    if (standby === undefined) throw stepError('the backup has no standby');
    return this.#killHost(this.backup, standby.pid);
  }

  /**
   * Ends every process and removes what they made; the logs stay if `keepLogs`. Says whether it
   * worked. A second call does nothing.
   */
  async takeDown(keepLogs: boolean): Promise<Check> {
    const name = 'nothing-left';
    if (this.#isTakenDown) return { name, ok: true, detail: 'already taken down' };
    this.#isTakenDown = true;
    const stops = [this.#primary, this.#backup].map(async (agent) => {
      await agent?.stop(stopMs);
      agent?.tail.poll();
      agent?.tail.close();
    });
    await Promise.all(stops);
    await this.#server?.stop();
    const left = await endRunProcesses(this.folder.mark, stopMs);
    await removeRunFolder(this.folder, keepLogs);
    const detail =
      left.length === 0
        ? 'every process of the drill ended, its memory files are removed'
        : `still there: ${left.map(({ pid, command }) => `${pid} ${command}`).join('; ')}`;
    return { name, ok: left.length === 0, detail };
  }

  /** The last lines of each log, for a step that failed. */
  lastLogLines(count: number): { log: string; lines: string[] }[] {
    return [this.#primary, this.#backup].flatMap((agent) =>
      agent === undefined ? [] : [{ log: agent.logFile, lines: agent.lastLines(count) }],
    );
  }

  #serverUrl(): string {
    if (this.#server === undefined) throw new Error('the lab has no server yet');
    return this.#server.url;
  }

  async #startAgent(role: 'primary' | 'backup', config: AnyConfig, side: SideFolders) {
    const configFile = join(this.folder.path, `${role}.yaml`);
    await writeFile(configFile, printConfig(config));
    const { eventsFile } = side;
    return new AgentProcess({ role, configFile, eventsFile, runFolder: this.folder.path });
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
