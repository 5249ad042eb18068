import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { PaceLimits } from '../../primary/epoch-pace.ts';
import type { SeenTerm } from '../../shared/arbiter/highest-term.ts';
import { SyntheticMemory } from '../../shared/guest/synthetic-memory.ts';
import type { Random } from '../../shared/random.ts';
import { AgentProcess } from './agent-process.ts';
import { CounterProcess, type GuestWorld, guestMemoryBytes } from './counter-guest.ts';
import type { Connection, NatsServer, Way } from './nats-server.ts';
import type { Outside } from './outside.ts';
import type { Parts, Side } from './parts.ts';
import { HostClock, Thread } from './thread.ts';
import type { Timeline } from './timeline.ts';
import type { Trace } from './trace.ts';

/** What all hosts of a run share. */
export interface World extends GuestWorld {
  readonly timeline: Timeline;
  readonly server: NatsServer;
  readonly outside: Outside;
  readonly trace: Trace;
  readonly settings: RunSettings;
  /** What agents are made of; a seeded fault replaces some of it. */
  readonly parts: Parts;
  /** On tmpfs. */
  readonly folder: string;
  /** A host takes the guest over, and is gone before the guest runs. */
  takeoverLost(): void;
  /** The guest may be booted anew: nobody has been promised anything of the one that was lost. */
  mayLose(): boolean;
}

export interface RunSettings {
  readonly pace: PaceLimits;
  readonly silenceLimitMs: number;
  readonly windowBytes: number;
  readonly verifyEveryEpochs: number;
  readonly onBackupLost: 'continue' | 'stop';
  readonly liveRounds: number | null;
  readonly verifyAtTakeover: 'full' | 'recorded';
  readonly generalCodec: 'lz4' | 'none';
}

/** A machine: what survives the agent is here, and what survives the machine. */
export class Host {
  readonly number: number;
  readonly name: string;
  readonly world: World;
  readonly clock: HostClock;
  readonly random: Random;
  readonly way: Way = { upCut: false, downCut: false };
  /** On disk. */
  readonly hostId: string;
  seenTerm: SeenTerm | null = null;
  diskMs = 1;
  /** On tmpfs: gone with the machine. */
  ram: SyntheticMemory | undefined;
  guest: CounterProcess | undefined;
  agent: AgentProcess | undefined;
  /** Of the configuration file. */
  readonly role: Side;
  #isUp = true;
  #storeFolders = 0;
  /** Connections of a machine that died without a word: the server does not know it yet. */
  #zombies: Connection[] = [];

  constructor(world: World, number: number, role: Side, random: Random) {
    this.world = world;
    this.number = number;
    this.name = 'AB'[number]!;
    this.role = role;
    this.random = random;
    this.hostId = `00000000000000f${number + 1}`;
    const pace = 1 + (random.unit() - 0.5) * 0.004;
    this.clock = new HostClock(world.timeline, pace, random.unit() * 1e6);
    mkdirSync(this.storeFolder, { recursive: true });
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  get storeFolder(): string {
    return join(this.world.folder, `${this.name}-${this.#storeFolders}`);
  }

  startAgent(): void {
    if (!this.#isUp || this.agent !== undefined) return;
    this.agent = new AgentProcess(this, new Thread(this.world.timeline, this.clock));
    this.agent.start();
  }

  /** SIGKILL of the agent, or its end: what it held is gone, the guest is as it was. */
  endAgent(): void {
    this.agent?.end();
    this.agent = undefined;
  }

  /** Power is cut. */
  crash(): void {
    if (!this.#isUp) return;
    this.#isUp = false;
    // The peer's TCP stack has no way to tell; the server finds out late, or not before the reboot.
    this.#zombies = this.random.unit() < 0.5 ? [...(this.agent?.connections ?? [])] : [];
    if (this.agent?.state?.name === 'taking-over') this.world.takeoverLost();
    this.agent?.end(this.#zombies);
    this.agent = undefined;
    this.guest?.vanish('the host lost power');
    this.guest = undefined;
    this.ram = undefined;
    rmSync(this.storeFolder, { recursive: true, force: true });
    this.#storeFolders += 1;
  }

  boot(): void {
    if (this.#isUp) return;
    this.#isUp = true;
    for (const connection of this.#zombies.splice(0)) connection.end();
    this.startAgent();
  }

  /** RAM that a replica is kept in: what an earlier run left is a base to compare with. */
  replicaRam(): SyntheticMemory {
    this.ram ??= new SyntheticMemory(guestMemoryBytes);
    return this.ram;
  }

  bootGuest(): CounterProcess {
    this.guest = CounterProcess.boot(this.world, this.world.mayLose());
    this.ram = this.guest.memory;
    return this.guest;
  }
}
