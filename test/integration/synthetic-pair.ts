import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { BackupAgent, type BackupResult } from '../../backup/agent.ts';
import type { InputLog } from '../../backup/input/input-log.ts';
import { ReplicaStore } from '../../backup/store/replica-store.ts';
import { WarmStandby } from '../../backup/warm-standby.ts';
import { PrimaryAgent } from '../../primary/agent.ts';
import { SyntheticTracker } from '../../primary/capture/synthetic-tracker.ts';
import type { PaceLimits } from '../../primary/epoch-pace.ts';
import type { BackupLossPolicy, PrimaryOutcome } from '../../primary/machine.ts';
import type { GuestOutput, InputLogPort } from '../../primary/parts.ts';
import type { EncoderOptions } from '../../primary/pipeline/epoch-encoder.ts';
import { LocalEncoder } from '../../primary/pipeline/local-encoder.ts';
import { ThreadEncoder, type ThreadSpace } from '../../primary/pipeline/thread-encoder.ts';
import { MemoryTerms } from '../../shared/arbiter/memory-arbiter.ts';
import { TermClaims } from '../../shared/arbiter/term-claims.ts';
import { monotonicClock } from '../../shared/clock.ts';
import type { KnownRam } from '../../shared/codec/known-ram.ts';
import { UnderstudyError } from '../../shared/errors.ts';
import { SyntheticGuest } from '../../shared/guest/synthetic-guest.ts';
import { SyntheticMemory } from '../../shared/guest/synthetic-memory.ts';
import { SyntheticStandby } from '../../shared/guest/synthetic-standby.ts';
import type { GuestName } from '../../shared/ids.ts';
import type { AgentEvent } from '../../shared/observe/events.ts';
import type { MemoryBus, MemoryTransport } from '../../shared/transport/memory-bus.ts';

/** The real agents around a synthetic guest and an in-process bus; heartbeats are the test's. */

/** What a test context offers: undone last first, also when the test fails. */
export interface Teardown {
  teardown(undo: () => unknown): void;
}

const mib = 2 ** 20;
export const memoryBytes = 16 * mib;
export const guestName = 'synthetic' as GuestName;

/** Stands for a heartbeat watch: silent when the test says so. */
export class ManualWatch {
  alive = false;
  lastHeardAtMs = 0;
  readonly #listeners = new Set<() => void>();

  expect(): void {
    this.alive = true;
    this.lastHeardAtMs = monotonicClock.nowMs();
  }

  readonly expectAnyone = (): void => this.expect();

  rest(): void {
    this.alive = false;
  }

  heard(): void {}

  onSilent(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  fallSilent(): void {
    this.alive = false;
    for (const listener of this.#listeners) listener();
  }
}

export class EventList {
  readonly events: AgentEvent[] = [];
  readonly #waiting = new Set<() => void>();

  readonly emit = (event: AgentEvent): void => {
    this.events.push(event);
    for (const wake of this.#waiting) wake();
  };

  /** The first event from index `from` on that matches; waits two minutes for it. */
  async find<K extends AgentEvent['kind']>(
    kind: K,
    matches: (event: Extract<AgentEvent, { kind: K }>) => boolean = () => true,
    from = 0,
  ): Promise<Extract<AgentEvent, { kind: K }>> {
    const search = () =>
      this.events
        .slice(from)
        .find(
          (event): event is Extract<AgentEvent, { kind: K }> =>
            event.kind === kind && matches(event as Extract<AgentEvent, { kind: K }>),
        );
    const deadline = performance.now() + 120_000;
    for (;;) {
      const found = search();
      if (found !== undefined) return found;
      if (performance.now() > deadline) {
        throw new Error(`no ${kind} event; last: ${JSON.stringify(this.events.slice(-5))}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(done, 200);
        const waiting = this.#waiting;
        function done() {
          clearTimeout(timer);
          waiting.delete(done);
          resolve();
        }
        waiting.add(done);
      });
    }
  }
}

export interface RunningPrimary {
  readonly agent: PrimaryAgent;
  readonly guest: SyntheticGuest;
  readonly events: EventList;
  readonly watch: ManualWatch;
  readonly transport: MemoryTransport;
  readonly outcome: Promise<PrimaryOutcome>;
  /** Those with threads, the newest last. */
  readonly encoders: readonly ThreadEncoder[];
  /** SIGTERM. */
  stop(): Promise<PrimaryOutcome>;
  /** SIGKILL, as far as that is possible in one process: nothing is heard of it any more. */
  vanish(): void;
}

export function startPrimary(
  t: Teardown,
  bus: MemoryBus,
  options: {
    guest?: SyntheticGuest;
    agentId?: string;
    verifyEveryEpochs?: number;
    output?: GuestOutput;
    inputLog?: InputLogPort;
    intervalMs?: number;
    /** That encode; undefined: the agent's own thread does. */
    threads?: number;
    pace?: Partial<PaceLimits>;
    onBackupLost?: BackupLossPolicy;
    liveRounds?: number;
    base?: KnownRam | undefined;
    host?: HostId;
  } = {},
): RunningPrimary {
  const guest = options.guest ?? new SyntheticGuest({ name: guestName, memoryBytes, seed: 7 });
  const transport = bus.connect();
  const events = new EventList();
  const watch = new ManualWatch();
  const stop = new AbortController();
  const work = setInterval(() => guest.advance(5), 5);
  const encoders: ThreadEncoder[] = [];
  let spaces: ThreadSpace[] | undefined;
  const over = new Error('the test is over');
  t.teardown(() => Promise.all(encoders.map((encoder) => encoder.close(over))));
  const agent = new PrimaryAgent({
    guest,
    tracker: new SyntheticTracker(guest),
    transport,
    clock: monotonicClock,
    randomBytes,
    emit: events.emit,
    agentId: options.agentId ?? '00000000000000a1',
    claims: claimsOf(bus, options.host ?? hosts.a),
    host: options.host ?? hosts.a,
    base: options.base,
    output: options.output ?? noCable,
    inputLog: options.inputLog,
    found: 'running',
    guestPid: 0,
    discardHeldGuest: async () => {},
    settings: {
      pace: { ...paceOf(options.intervalMs ?? 20), ...options.pace },
      windowBytes: 4 * mib,
      hash: 'xxh3',
      blockBytes: 64,
      generalCodec: 'lz4',
      baselineEveryEpochs: 0,
      verifyEveryEpochs: options.verifyEveryEpochs ?? 0,
      onBackupLost: options.onBackupLost ?? 'continue',
      liveRounds: options.liveRounds ?? null,
    },
    openEncoder: async (secret, onFailed) => {
      const { threads } = options;
      if (threads === undefined) return await LocalEncoder.create(encoderOptions(secret));
      await encoders.at(-1)?.close(over);
      spaces ??= await ThreadEncoder.reserve(encoderOptions(secret), threads);
      const encoder = await ThreadEncoder.create(encoderOptions(secret), spaces, onFailed);
      encoders.push(encoder);
      return encoder;
    },
    progress: { show: () => {}, captured: () => {}, acked: () => {} },
    backup: watch,
  });
  const outcome = agent.run(stop.signal);
  outcome.catch(() => {}).finally(() => clearInterval(work));
  const end = async () => {
    stop.abort();
    return await outcome;
  };
  t.teardown(end);
  return {
    ...{ agent, guest, events, watch, transport, outcome, encoders },
    stop: end,
    vanish: () => {
      clearInterval(work);
      bus.leave(transport);
      transport.disconnect();
    },
  };
}

function encoderOptions(secret: Uint8Array): EncoderOptions {
  return {
    ...{ pageCount: memoryBytes / 4096, blockBytes: 64, hash: 'xxh3', secret },
    generalCodec: 'lz4',
    sharing: true,
    compression: true,
    delta: true,
    captureBytes: 1 * mib,
    keptBytes: 1 * mib,
    chunkBytes: 256 * 1024,
  };
}

export interface RunningBackup {
  readonly transport: MemoryTransport;
  readonly store: ReplicaStore;
  readonly memory: SyntheticMemory;
  readonly standby: SyntheticStandby;
  readonly events: EventList;
  readonly watch: ManualWatch;
  readonly result: Promise<BackupResult>;
  stop(): Promise<BackupResult>;
  /** SIGKILL: nothing is heard of it any more, and its store is free. */
  vanish(): Promise<void>;
}

export async function startBackup(
  t: Teardown,
  bus: MemoryBus,
  folder: string,
  kept?: SyntheticMemory,
  options: {
    readonly loadFailures?: number;
    readonly inputLog?: InputLog;
    readonly known?: KnownRam | undefined;
    readonly host?: HostId;
  } = {},
): Promise<RunningBackup> {
  const memory = kept ?? new SyntheticMemory(memoryBytes);
  const store = await ReplicaStore.open({
    folder,
    guest: guestName,
    memory,
    stagingBytesMax: 16 * mib,
    known: options.known,
  });
  // As after an agent whose QEMU ended with it.
  if (store.takenOver() !== null) await store.reclaim('earlier');
  const events = new EventList();
  const watch = new ManualWatch();
  const stop = new AbortController();
  const { description } = new SyntheticGuest({ name: guestName, memoryBytes, seed: 1 });
  const standbys: SyntheticStandby[] = [];
  const warm = await WarmStandby.start(
    async () => {
      const standby = new SyntheticStandby(description, memory);
      if (standbys.length < (options.loadFailures ?? 0)) standby.load = loadFails;
      standbys.push(standby);
      return Object.assign(standby, { pid: standbys.length });
    },
    monotonicClock,
    events.emit,
  );
  const transport = bus.connect();
  const agent = new BackupAgent({
    guestName,
    store,
    standby: warm,
    transport,
    clock: monotonicClock,
    emit: events.emit,
    agentId: '00000000000000b1',
    settings: { takeoverEnabled: true, verifyAtTakeover: 'full', speaksAlone: false },
    progress: { show: () => {}, acked: () => {} },
    network: { connect: () => {}, tell: () => {} },
    peer: watch,
    claims: claimsOf(bus, options.host ?? hosts.b),
    host: options.host ?? hosts.b,
    ...(options.inputLog === undefined ? {} : { inputLog: options.inputLog }),
  });
  const result = agent.run(stop.signal).finally(() => store.close());
  result.catch(() => {});
  const end = async () => {
    stop.abort();
    return await result;
  };
  t.teardown(end);
  return {
    ...{ transport, store, memory, events, watch, result, stop: end },
    vanish: async () => {
      bus.leave(transport);
      transport.disconnect();
      await end();
    },
    get standby() {
      return standbys.at(-1)!;
    },
  };
}

async function loadFails(): Promise<void> {
  throw new UnderstudyError('E_STANDBY_LOAD', 'the standby refuses the state', { hint: 'A test.' });
}

/** As terms call them: a primary starts on the first, a backup on the second. */
export const hosts = { a: '00000000000000f1', b: '00000000000000f2' } as const;
type HostId = (typeof hosts)[keyof typeof hosts];
const termsOfBus = new WeakMap<MemoryBus, MemoryTerms>();

/** One record of terms for each bus. */
function claimsOf(bus: MemoryBus, host: string): TermClaims {
  const schedule = (ms: number, run: () => void) => bus.schedule(ms, run);
  const terms = termsOfBus.get(bus) ?? new MemoryTerms({ schedule });
  termsOfBus.set(bus, terms);
  const { arbiter } = terms.connect(guestName);
  const memory = { observe: async () => {} };
  return new TermClaims({ arbiter, memory, guest: guestName, host, onWaiting: () => {} });
}

/** Epochs of one length, whatever the guest does. */
const paceOf = (intervalMs: number) => ({
  ...{ intervalMs, shortestMs: intervalMs, longestMs: intervalMs },
});

const noCable: GuestOutput = {
  hold: () => {},
  barrier: () => {},
  acknowledged: () => {},
  sessionEnded: () => {},
  releaseAll: () => {},
  drop: () => {},
};

/** A folder on tmpfs that is removed when the test ends. */
export function tmpfsFolder(t: Teardown): string {
  const folder = mkdtempSync(join('/dev/shm', 'understudy-test-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
