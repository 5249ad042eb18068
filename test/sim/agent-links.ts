import { refuseToGoBack } from '../../shared/arbiter/highest-term.ts';
import { jetStreamArbiter } from '../../shared/arbiter/jetstream-arbiter.ts';
import { TermClaims, type TermMemory } from '../../shared/arbiter/term-claims.ts';
import { bounds } from '../../shared/bounds.ts';
import { Beacon } from '../../shared/heartbeat/beacon.ts';
import { PeerWatchThread } from '../../shared/heartbeat/peer-watch.ts';
import { ProgressCell } from '../../shared/heartbeat/progress-cell.ts';
import { Watch } from '../../shared/heartbeat/watch.ts';
import type { Epoch } from '../../shared/ids.ts';
import type { EmitEvent } from '../../shared/observe/events.ts';
import { subjectsOf } from '../../shared/transport/subjects.ts';
import type { AgentActivity } from '../../shared/wire/flow-body.ts';
import { guestHash } from '../../shared/wire/frame.ts';
import type { AgentProcess } from './agent-process.ts';
import type { Host } from './host.ts';
import type { Connection } from './nats-server.ts';
import type { Side } from './parts.ts';
import { Thread } from './thread.ts';

/** What `shared/agent/agent-links.ts` opens, on the simulated server and with simulated threads. */
export class AgentLinks {
  readonly transport: Connection;
  readonly claims: TermClaims;
  readonly agentId: string;
  readonly emit: EmitEvent;
  readonly #process: AgentProcess;
  readonly #host: Host;
  readonly #side: Side;
  readonly #cell = new ProgressCell();

  static async open(process: AgentProcess, side: Side, emit: EmitEvent): Promise<AgentLinks> {
    const links = new AgentLinks(process, side, emit);
    for (const connection of process.connections) await connection.ready();
    return links;
  }

  private constructor(process: AgentProcess, side: Side, emit: EmitEvent) {
    this.#process = process;
    this.#host = process.host;
    this.#side = side;
    this.emit = emit;
    this.agentId = hex(this.randomBytes(8));
    this.transport = this.#connect(process.main);
    const { name: guest } = this.#host.world;
    const { main: clock } = process;
    const pause = async (ms: number) => {
      await new Promise<void>((resolve) => clock.after(ms, resolve));
    };
    this.claims = new TermClaims({
      arbiter: jetStreamArbiter(this.#connect(process.main), { guest, pause }),
      memory: this.#termMemory(),
      guest,
      host: this.#host.hostId,
      onWaiting: ({ code, message, hint }) => emit({ kind: 'warning', code, message, hint }),
      clock,
      nonce: () => hex(this.randomBytes(16)),
    });
  }

  randomBytes(count: number): Uint8Array {
    const bytes = new Uint8Array(count);
    for (let i = 0; i < count; i++) bytes[i] = this.#host.random.below(256);
    return bytes;
  }

  progressOf(): {
    show(activity: AgentActivity): void;
    captured(epoch: Epoch): void;
    acked(epoch: Epoch): void;
  } {
    const cell = this.#cell;
    return {
      show: (activity) => {
        cell.activity = activity;
      },
      captured: (epoch) => {
        cell.captured = epoch;
      },
      acked: (epoch) => {
        cell.acked = epoch;
      },
    };
  }

  /** As the heartbeat worker: a beacon and a watch, each a thread with a connection of its own. */
  async startHeartbeats(limitMs: number): Promise<PeerWatchThread> {
    const { name } = this.#host.world;
    const subjects = subjectsOf(name);
    const isPrimary = this.#side === 'primary';
    const peer = isPrimary ? 'backup' : 'primary';
    const guest = guestHash(name);
    const watch = await PeerWatchThread.start(
      {
        ...{
          peer,
          guest: name,
          threads: undefined as never,
          nats: undefined as never,
          connectDeadlineMs: null,
          onDeath: () => {},
        },
        limits: { limitMs, wedgedMs: bounds.wedgedLimitMs },
      },
      this.emit,
      () => {},
      async ({ onEvent, limits }) => {
        const thread = this.#startThread();
        const real = new Watch({
          transport: this.#connect(thread),
          subject: isPrimary ? subjects.heartbeatOfBackup : subjects.heartbeatOfPrimary,
          echoSubject: subjects.echo(this.agentId),
          guest,
          clock: thread,
          limits: limits!,
          echoEveryMs: Math.min(bounds.heartbeatIntervalMs, limits!.limitMs / 4),
          onEvent: (event) => this.#process.main.input(0.05, () => onEvent(event)),
        });
        thread.every(bounds.watchTickMs, () => real.tick());
        return {
          follow: (agent) => thread.input(0.05, () => real.follow(agent)),
          heard: () => thread.input(0.05, () => real.heard()),
          stop: async () => thread.end(),
        };
      },
    );
    const thread = this.#startThread();
    const beacon = new Beacon({
      transport: this.#connect(thread),
      subject: isPrimary ? subjects.heartbeatOfPrimary : subjects.heartbeatOfBackup,
      agent: BigInt(`0x${this.agentId}`),
      ...{ guest, progress: this.#cell, clock: thread },
    });
    beacon.beat();
    thread.every(bounds.heartbeatIntervalMs, () => beacon.beat());
    return watch;
  }

  #connect(thread: Thread): Connection {
    const connection = this.#host.world.server.connect(thread, this.#host.way);
    this.#process.connections.push(connection);
    return connection;
  }

  #startThread(): Thread {
    const thread = new Thread(this.#host.world.timeline, this.#host.clock);
    this.#process.threads.push(thread);
    return thread;
  }

  /** `HighestTerm` on a disk that takes its time. */
  #termMemory(): TermMemory {
    const host = this.#host;
    const { main } = this.#process;
    return {
      observe: async (latest) => {
        const { name } = host.world;
        refuseToGoBack(host.seenTerm, latest, name, 'disk');
        if (latest === null || latest.term === host.seenTerm?.term) return;
        await main.wait(host.diskMs);
        host.seenTerm = { term: latest.term, nonce: latest.nonce };
        await main.wait(0.1);
      },
    };
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
