import { BackupAgent } from '../../backup/agent.ts';
import { InputLog } from '../../backup/input/input-log.ts';
import type { BackupOutcome } from '../../backup/machine.ts';
import type { BackupParts } from '../../backup/parts.ts';
import { ReplicaStore } from '../../backup/store/replica-store.ts';
import { WarmStandby } from '../../backup/warm-standby.ts';
import { PrimaryAgent } from '../../primary/agent.ts';
import { SyntheticTracker } from '../../primary/capture/synthetic-tracker.ts';
import type { PrimaryOutcome } from '../../primary/machine.ts';
import { readableGuest } from '../../primary/output/readable-guest.ts';
import type { LiveRam } from '../../primary/pipeline/epoch-encoder.ts';
import { whoForbidsStart } from '../../primary/term-holder.ts';
import type { KnownRam } from '../../shared/codec/known-ram.ts';
import { isUnderstudyError } from '../../shared/errors.ts';
import type { AgentEvent } from '../../shared/observe/events.ts';
import type { Random } from '../../shared/random.ts';
import { AgentLinks } from './agent-links.ts';
import { SimCable, SimStandbyLine } from './cable.ts';
import { openEncoder } from './codec.ts';
import { CounterGuest, CounterStandby, guestPageCount } from './counter-guest.ts';
import type { Host } from './host.ts';
import type { Connection } from './nats-server.ts';
import type { Side } from './parts.ts';
import type { Thread } from './thread.ts';

const backupPatience = 5;
const inputLogBytesMax = 2 ** 20;

/**
 * A process that has one role after the other, as `cli/role.ts` and the roles' `start.ts` do it:
 * the agents in it are the real ones.
 */
export class AgentProcess {
  readonly connections: Connection[] = [];
  readonly threads: Thread[] = [];
  readonly #host: Host;
  readonly #main: Thread;
  readonly #stop = new AbortController();
  /** What the kernel takes back when the process dies. */
  #undo: (() => void)[] = [];
  /** As it last announced itself. */
  state: { readonly side: Side; readonly name: string } | undefined;
  standby: CounterStandby | undefined;
  #primaryAgent: PrimaryAgent | undefined;
  /** This very process has resumed the guest: its network is connected. */
  #handsOn = false;
  /** RAM that a guest has gone on from, as one role leaves it to the next. */
  #ram: KnownRam | undefined;

  constructor(host: Host, main: Thread) {
    this.#host = host;
    this.#main = main;
    this.threads.push(main);
  }

  get host(): Host {
    return this.#host;
  }

  get main(): Thread {
    return this.#main;
  }

  start(): void {
    const { world, name } = this.#host;
    world.trace.say(name, 'agent starts');
    this.#run().then(
      (why) => this.#ended(why),
      (error: unknown) => {
        if (!this.#main.alive) return;
        // An expected failure ends a process; anything else is a broken invariant.
        if (!isUnderstudyError(error) && !this.#stop.signal.aborted)
          world.checker.fail(`agent ${name}: ${String((error as Error).stack ?? error)}`);
        this.#ended(String(error));
      },
    );
  }

  /** SIGTERM. */
  stop(): void {
    this.#main.inputNow(() => this.#stop.abort());
  }

  /** As an operator asks for it; without effect on a backup. */
  wish(kind: 'pause' | 'resume'): void {
    this.#main.inputNow(() => this.#primaryAgent?.wish(kind));
  }

  /** As an operator asks for it. */
  switchOver(): void {
    const { world, name } = this.#host;
    const agent = this.#primaryAgent;
    if (agent === undefined) return;
    this.#main.inputNow(() => {
      agent.switchOver().then(
        () => world.trace.say(name, 'switchover: done'),
        (error: unknown) => {
          if (!this.#main.alive) return;
          world.trace.say(name, `switchover: ${String(error)}`);
          if (!isUnderstudyError(error)) world.checker.fail(`switchover: ${String(error)}`);
        },
      );
    });
  }

  /** It is dead. Connections in `silent` are left as the server sees them. */
  end(silent: readonly Connection[] = []): void {
    for (const thread of this.threads) thread.end();
    for (const connection of this.connections) if (!silent.includes(connection)) connection.end();
    for (const undo of this.#undo.reverse()) undo();
    this.#undo = [];
  }

  standStill(): void {
    for (const thread of this.threads) thread.standStill();
  }

  goOn(): void {
    for (const thread of this.threads) thread.goOn();
  }

  #ended(why: string): void {
    const { world, name } = this.#host;
    if (!this.#main.alive) return;
    world.trace.say(name, `agent ends: ${why}`);
    this.#host.endAgent();
    // A supervisor starts it again.
    world.timeline.after(500, () => this.#host.startAgent());
  }

  async #run(): Promise<string> {
    let role = this.#host.role;
    let tookOver = false;
    for (;;) {
      const outcome: PrimaryOutcome | BackupOutcome =
        role === 'primary' ? await this.#primary(tookOver) : await this.#backup();
      this.#closeRole();
      tookOver = this.#handsOn;
      this.#handsOn = false;
      if (outcome.kind === 'superseded') role = 'backup';
      else if (outcome.kind === 'took-over') role = 'primary';
      else return `${role} ${outcome.kind}`;
      if (this.#stop.signal.aborted) return 'stopped';
    }
  }

  #closeRole(): void {
    for (const connection of this.connections.splice(0)) connection.end();
    for (const thread of this.threads.splice(1)) thread.end();
    for (const undo of this.#undo.reverse()) undo();
    this.#undo = [];
  }

  async #primary(tookOver: boolean): Promise<PrimaryOutcome> {
    const host = this.#host;
    const { world, hostId } = host;
    const { settings } = world;
    const links = await AgentLinks.open(this, 'primary', (event) => this.#emit('primary', event));
    let fresh = false;
    if (host.guest === undefined || host.guest.state === 'gone') {
      const by = whoForbidsStart(await links.claims.latest(this.#stop.signal), hostId);
      if (by !== undefined) return { kind: 'superseded', by, planned: false };
      await this.#main.wait(50);
      host.bootGuest();
      fresh = true;
    }
    const guest = new CounterGuest(world, host.guest!, this.#main);
    this.#undo.push(() => {
      guest.detach();
    });
    const { silenceLimitMs } = settings;
    const watch = await links.startHeartbeats(silenceLimitMs * backupPatience);
    const cable = new SimCable({
      ...{ guest: host.guest!, thread: this.#main, outside: world.outside, host: host.number },
      onCheckpointWanted: () => agent.checkpointSoon(),
      onOutputWaits: () => agent.outputWaits(),
      passes: tookOver,
    });
    this.#undo.push(() => cable.close());
    const agent = new PrimaryAgent(
      world.parts.primary(
        {
          guest: readableGuest(guest, cable),
          tracker: new SyntheticTracker(host.guest!),
          transport: links.transport,
          clock: this.#main,
          randomBytes: (count) => links.randomBytes(count),
          emit: links.emit,
          agentId: links.agentId,
          claims: links.claims,
          host: hostId,
          output: cable,
          handover: cable,
          settings: {
            pace: settings.pace,
            windowBytes: settings.windowBytes,
            hash: 'xxh3',
            blockBytes: 256,
            generalCodec: settings.generalCodec,
            baselineEveryEpochs: 0,
            verifyEveryEpochs: settings.verifyEveryEpochs,
            onBackupLost: settings.onBackupLost,
            liveRounds: settings.liveRounds,
          },
          openEncoder: async (secret) => {
            await this.#main.wait(host.random.unit() * 30);
            return await openEncoder(secret, settings.generalCodec, this.#readAgain(guest.memory));
          },
          progress: links.progressOf(),
          backup: watch,
          guestPid: 0,
          found: fresh ? 'new' : 'running',
          base: fresh ? undefined : this.#takeRam(),
          discardHeldGuest: () => guest.terminate(),
        },
        host,
      ),
    );
    this.#primaryAgent = agent;
    const outcome = await agent.run(this.#stop.signal);
    this.#primaryAgent = undefined;
    if (outcome.kind !== 'superseded') return outcome;
    this.#ram = agent.ramAsLeft();
    await guest.terminate();
    return outcome;
  }

  async #backup(): Promise<BackupOutcome> {
    const host = this.#host;
    const { world } = host;
    const links = await AgentLinks.open(this, 'backup', (event) => this.#emit('backup', event));
    const memory = host.replicaRam();
    await this.#main.wait(host.random.unit() * 20);
    const store = await ReplicaStore.open({
      ...{ folder: host.storeFolder, guest: world.name, memory },
      stagingBytesMax: guestPageCount * 4096,
      known: this.#takeRam(),
    });
    // Opening takes microtasks alone, so the process is still there.
    this.#undo.push(() => store.close());
    takeTime(store, this.#main, host.random);
    if (store.takenOver() !== null) {
      if (host.guest?.state === 'running' || host.guest?.state === 'paused') {
        return { kind: 'took-over' };
      }
      await store.reclaim('earlier');
    }
    const line = new SimStandbyLine({
      ...{ thread: this.#main, outside: world.outside, host: host.number },
    });
    const standby = await WarmStandby.start(
      async () => {
        await this.#main.wait(30);
        this.standby = new CounterStandby(world, memory, this.#main, (process) => {
          host.guest = process;
          line.resumed(process);
        });
        return this.standby;
      },
      this.#main,
      links.emit,
    );
    const peer = await links.startHeartbeats(world.settings.silenceLimitMs);
    const parts: BackupParts = {
      guestName: world.name,
      ...{ store, standby, peer },
      transport: links.transport,
      clock: this.#main,
      emit: links.emit,
      agentId: links.agentId,
      settings: {
        takeoverEnabled: true,
        verifyAtTakeover: world.settings.verifyAtTakeover,
        speaksAlone: false,
      },
      progress: links.progressOf(),
      claims: links.claims,
      host: host.hostId,
      network: line,
      inputLog: new InputLog(inputLogBytesMax, ({ code, message, hint }) =>
        links.emit({ kind: 'warning', code, message, hint }),
      ),
    };
    const agent = new BackupAgent(world.parts.backup(parts, host));
    const { outcome, guest, base } = await agent.run(this.#stop.signal);
    this.#ram = base;
    this.#handsOn = outcome.kind === 'took-over';
    await guest?.detach();
    return outcome;
  }

  /** `ram`, whose pages an encoder reads a second time. */
  #readAgain(ram: LiveRam): LiveRam {
    const { counts } = this.#host.world.checker;
    return {
      readRange: (first, count, into, offset) => {
        counts.readAgain += 1;
        ram.readRange(first, count, into, offset);
      },
    };
  }

  #takeRam(): KnownRam | undefined {
    const ram = this.#ram;
    this.#ram = undefined;
    return ram;
  }

  #emit(side: Side, event: AgentEvent): void {
    const { world, name } = this.#host;
    switch (event.kind) {
      case 'state':
        this.state = { side, name: event.to };
        world.trace.say(name, `${side}: ${event.from} to ${event.to} (${event.cause})`);
        return;
      case 'term':
        world.trace.say(name, `has term ${event.term}, ${event.mode}`);
        return;
      case 'warning':
      case 'error':
        world.trace.say(name, `${event.kind} ${event.code}: ${event.message}`);
        return;
      case 'ack':
      case 'commit':
        world.trace.number(event.epoch);
        return;
      case 'takeover':
        world.trace.say(name, `took over at epoch ${event.epoch} in term ${event.term}`);
        if (event.planned) world.checker.handedOver(this.#host.guest!.copy);
        return;
      default:
    }
  }
}

/** Work on the whole RAM takes time, and an epoch some: as it does with a guest of gigabytes. */
function takeTime(store: ReplicaStore, thread: Thread, random: Random): void {
  const { prepareSession, commit, takeForTakeover, fullRamDigest } = store;
  const last = async <T>(ms: number, work: () => Promise<T>): Promise<T> => {
    await thread.wait(random.unit() * ms);
    const result = await work();
    await thread.wait(random.unit() * ms);
    return result;
  };
  store.prepareSession = (settings) => last(30, () => prepareSession.call(store, settings));
  store.commit = (what) => last(4, () => commit.call(store, what));
  store.takeForTakeover = () => last(4, () => takeForTakeover.call(store));
  store.fullRamDigest = () => last(20, () => fullRamDigest.call(store));
}
