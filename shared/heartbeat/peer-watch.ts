import type { EmitEvent } from '../observe/events.ts';
import type { AgentActivity } from '../wire/flow-body.ts';
import { startWatch, type WatchTask, type WatchTaskOptions } from './heartbeat-tasks.ts';
import type { WatchEvent } from './watch.ts';

/**
 * One peer's signs of life as an agent sees them: whether it was heard lately, and when it fell
 * silent. Silence is decided in the worker (`detector.ts`), never here.
 */
export class PeerWatchThread {
  readonly #emit: EmitEvent;
  readonly #listeners = new Set<() => void>();
  readonly #onHeartbeat: (event: WatchEvent & { kind: 'heartbeat' }) => void;
  #thread: WatchTask | undefined;
  #expected: bigint | 'anyone' | undefined;
  #lastHeardAtMs = 0;
  #silent = true;
  #activity: AgentActivity | null = null;

  private constructor(
    emit: EmitEvent,
    onHeartbeat: (event: WatchEvent & { kind: 'heartbeat' }) => void,
  ) {
    this.#emit = emit;
    this.#onHeartbeat = onHeartbeat;
  }

  /** `onHeartbeat` hears those of the expected agent. Throws as `start` does. */
  static async start(
    options: Omit<WatchTaskOptions, 'onEvent'>,
    emit: EmitEvent,
    onHeartbeat: (event: WatchEvent & { kind: 'heartbeat' }) => void = () => {},
    start: typeof startWatch = startWatch,
  ): Promise<PeerWatchThread> {
    const watch = new PeerWatchThread(emit, onHeartbeat);
    const onEvent = (event: WatchEvent) => watch.#hear(event, options.peer);
    watch.#thread = await start({ ...options, onEvent });
    return watch;
  }

  /** From now on only this agent counts (16 hex digits), and that it was just heard. */
  expect(agent: string): void {
    this.#expected = BigInt(`0x${agent}`);
    this.#silent = false;
    this.#thread?.follow(this.#expected);
  }

  /** From now on any agent counts, and that one was just heard. */
  expectAnyone(): void {
    this.#expected = 'anyone';
    this.#silent = false;
    this.#thread?.follow(undefined);
  }

  /** Something of the expected agent came by another way: it lives. */
  heard(): void {
    this.#thread?.heard();
  }

  /** Nobody is expected any more. */
  rest(): void {
    this.#expected = undefined;
    this.#silent = true;
  }

  get alive(): boolean {
    return this.#expected !== undefined && !this.#silent;
  }

  /** On this machine's monotonic clock; 0 before anything was heard. */
  get lastHeardAtMs(): number {
    return this.#lastHeardAtMs;
  }

  /** What the expected agent said last that it does. */
  get activity(): AgentActivity | null {
    return this.#expected === undefined ? null : this.#activity;
  }

  /** Hears of each silence of the expected agent, once. */
  onSilent(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async stop(): Promise<void> {
    await this.#thread?.stop();
  }

  #hear(event: WatchEvent, peer: string): void {
    if (this.#expected === undefined) return;
    switch (event.kind) {
      case 'heartbeat':
        if (this.#expected !== 'anyone' && event.heartbeat.agent !== this.#expected) return;
        this.#lastHeardAtMs = event.atMs;
        this.#activity = event.heartbeat.activity;
        this.#onHeartbeat(event);
        return;
      case 'silent':
        this.#silent = true;
        this.#lastHeardAtMs = event.lastHeardAtMs;
        for (const listener of this.#listeners) listener();
        return;
      case 'back':
        this.#silent = false;
        return;
      case 'blind':
        this.#warn('E_HEARTBEAT_BLIND', `the ${peer} can't be heard from here: ${event.why}`);
        return;
      case 'wedged': {
        const seconds = (event.stillMs / 1000).toFixed(0);
        this.#warn('E_PEER_WEDGED', `the ${peer} lives, but has got nothing done for ${seconds} s`);
        return;
      }
      default:
        return;
    }
  }

  #warn(code: 'E_HEARTBEAT_BLIND' | 'E_PEER_WEDGED', message: string): void {
    this.#emit({ kind: 'warning', code, message, hint: hints[code] });
  }
}

const hints = {
  E_HEARTBEAT_BLIND: 'Nothing is decided meanwhile. Check this host and its way to NATS.',
  E_PEER_WEDGED: 'See its log: a stalled stream or a guest that does not stop shows there.',
};
