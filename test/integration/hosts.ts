import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AgentProcess } from '../../drill/agent-process.ts';
import { endRunProcesses } from '../../drill/run-processes.ts';
import { printConfig } from '../../shared/config/print.ts';
import {
  type AnyConfig,
  defaults,
  type GuestSection,
  type PrimaryConfig,
} from '../../shared/config/schema.ts';
import { RamFile } from '../../shared/memory/ram-file.ts';
import type { TimedEvent } from '../../shared/observe/events.ts';
import { EmbeddedServer } from '../../shared/transport/embedded-server.ts';
import { counterLab } from '../shared/qemu/counter-guest.ts';

/** Two hosts on this machine: real agents, real QEMU with a guest that counts, a real server. */

export const memoryBytes = 32 * 2 ** 20;
export const regionPages = 256;
const deadlineMs = 120_000;

export type EventKind = TimedEvent['kind'];
export type EventOf<K extends EventKind> = Extract<TimedEvent, { kind: K }>;

export interface Hosts {
  readonly folder: string;
  readonly server: EmbeddedServer;
  /** Stops the server and starts it again, with its port and what it stored. */
  restartServer(awayMs: number): Promise<void>;
  /** `guest`: keys of the guest section that differ. */
  start(role: 'primary' | 'backup', guest?: Partial<GuestSection>): Agent;
  readonly primaryRam: string;
  readonly backupRam: string;
}

export interface Agent {
  readonly process: AgentProcess;
  readonly configFile: string;
  find<K extends EventKind>(
    kind: K,
    matches?: (event: EventOf<K>) => boolean,
    from?: number,
  ): Promise<EventOf<K>>;
  /** How many events there are: what comes later has this index or a higher one. */
  now(): number;
  /** Waits for the process to end; returns what `AgentProcess.ended` says. */
  ended(): Promise<string>;
  /** JSON lines that it logged. */
  log(): string;
}

/** What of a test's context is needed here. */
interface TestContext {
  readonly passed: boolean;
  teardown(undo: () => unknown): void;
  log(...values: unknown[]): void;
}

/** `natsOf`: another way to NATS than the test's own server, for each side. */
export async function startHosts(
  t: TestContext,
  limitMs = 2000,
  natsOf?: (role: 'primary' | 'backup') => PrimaryConfig['nats'],
): Promise<Hosts> {
  const lab = counterLab({ memoryBytes, regionPages, delay: 100_000 });
  t.teardown(async () => {
    // QEMUs outlive their agents by design: those of one test are known by its folder.
    const left = await endRunProcesses(lab.folder, 10_000);
    lab.remove();
    if (left.length > 0) throw new Error(`still there: ${left.map(({ command }) => command)}`);
  });
  const natsFolder = join(lab.folder, 'nats');
  let server = await EmbeddedServer.start({ folder: natsFolder });
  t.teardown(() => server.stop());
  const sides = { primary: lab.config, backup: lab.peer };
  let starts = 0;
  return {
    folder: lab.folder,
    get server() {
      return server;
    },
    restartServer: async (awayMs) => {
      const { port } = server;
      await server.stop();
      await sleep(awayMs);
      server = await EmbeddedServer.start({ folder: natsFolder, port });
    },
    start: (role, guest = {}) => {
      starts += 1;
      const { runFolder, memoryFolder, disks } = sides[role];
      const folder = join(lab.folder, `${role}-${starts}`);
      mkdirSync(folder);
      const eventsFile = join(folder, 'events.jsonl');
      const base = defaults(role, 'counter');
      const config = {
        ...base,
        guest: {
          ...base.guest,
          memory: memoryBytes,
          accelerator: 'tcg',
          disks: disks.map(({ path, format }) => ({
            path,
            format,
            readonly: true,
            replicate: false,
          })),
          runFolder,
          memoryFolder,
          stateFolder: join(lab.folder, `${role === 'primary' ? 'a' : 'b'}-state`),
          ...guest,
        },
        nats: natsOf?.(role) ?? { ...base.nats, servers: [server.url] },
        heartbeat: { intervalMs: 50, limitMs },
        log: { level: 'info', format: 'json', eventsFile },
      } as AnyConfig;
      const configFile = join(folder, 'config.yaml');
      writeFileSync(configFile, printConfig(config));
      const process = new AgentProcess({
        role,
        configFile,
        eventsFile,
        runFolder: folder,
        enter: [],
      });
      t.teardown(() => {
        process.kill('SIGKILL');
        if (!t.passed) t.log(`log of ${folder}:\n${process.lastLines(40).join('\n')}`);
      });
      return toAgent(process, configFile);
    },
    primaryRam: join(lab.config.memoryFolder, 'counter.ram'),
    backupRam: join(lab.peer.memoryFolder, 'counter.ram'),
  };
}

function toAgent(process: AgentProcess, configFile: string): Agent {
  return {
    process,
    configFile,
    find: async (kind, matches = () => true, from = 0) => {
      const isIt = (event: TimedEvent): event is EventOf<typeof kind> =>
        event.kind === kind && matches(event as EventOf<typeof kind>);
      const givenUp = () => process.ended && `it ${process.ended}: ${process.lastLines(3)}`;
      const what = `${kind} of the ${process.role}`;
      const { event } = await process.tail.waitFor(isIt, { what, deadlineMs, from, givenUp });
      return event;
    },
    now: () => {
      process.tail.poll();
      return process.tail.events.length;
    },
    ended: async () => {
      const deadline = performance.now() + deadlineMs;
      while (process.ended === undefined) {
        if (performance.now() > deadline) throw new Error(`the ${process.role} does not end`);
        await sleep(20);
      }
      return process.ended;
    },
    log: () => readFileSync(process.logFile, 'utf8'),
  };
}

/** Both agents, and the guest protected. */
export async function startProtected(hosts: Hosts): Promise<{ primary: Agent; backup: Agent }> {
  const backup = hosts.start('backup');
  const primary = hosts.start('primary');
  await primary.find('state', ({ to }) => to === 'protected');
  await primary.find('ack', ({ epoch }) => epoch >= 3);
  return { primary, backup };
}

/** Pid of the guest that a primary looks after, or of the standby. */
export async function guestPid(agent: Agent): Promise<number> {
  const { role } = agent.process;
  return (await agent.find(role === 'primary' ? 'guest' : 'standby')).pid;
}

/** What an operator types into the second monitor. Resolves with QEMU's answer. */
export async function operate(runFolder: string, command: string): Promise<string> {
  const socket = connect(join(runFolder, 'operator.sock'));
  socket.write(`{"execute":"qmp_capabilities"}\n{"execute":"${command}"}\n`);
  let text = '';
  for await (const bytes of socket) {
    text += bytes;
    if ((text.match(/"return"/g) ?? []).length >= 2) break;
  }
  return text;
}

/**
 * An operator's `stop`, given until it holds: one that meets a checkpoint's pause finds the guest
 * stopped already, and ends with that pause.
 */
export async function stopGuest(runFolder: string, agent: Agent): Promise<void> {
  const endAtMs = performance.now() + deadlineMs;
  const since = agent.now();
  while (performance.now() < endAtMs) {
    await operate(runFolder, 'stop');
    const againAtMs = performance.now() + 2000;
    while (performance.now() < againAtMs) {
      const told = agent.process.tail.events.slice(since);
      if (told.some((event) => event.kind === 'guest' && event.change === 'stopped')) return;
      await sleep(20);
      agent.process.tail.poll();
    }
  }
  throw new Error(`the guest of the ${agent.process.role} can't be stopped`);
}

/** What an independent judge says of two files: undefined, or where they differ first. */
export function cmp(a: string, b: string): string | undefined {
  const { status, stdout, stderr } = spawnSync('cmp', [a, b], { encoding: 'utf8' });
  return status === 0 ? undefined : `${stdout}${stderr}`.trim();
}

export function openRam(path: string): RamFile {
  return RamFile.open(path, memoryBytes);
}

export const isAlive = (pid: number): boolean => {
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
};
