import type { Clock } from '../clock.ts';
import { UnderstudyError } from '../errors.ts';
import type { Subscription, Transport } from '../transport/transport.ts';
import type { Heartbeat } from '../wire/flow-body.ts';
import { checkOrigin, decodeFrame } from '../wire/frame.ts';
import { decodeMessage } from '../wire/message.ts';
import { type DetectorEvent, type DetectorLimits, SilenceDetector } from './detector.ts';

export interface WatchOptions {
  readonly transport: Transport;
  /** Where the peer's heartbeats are. */
  readonly subject: string;
  /** A subject of this watch alone, on which it hears itself. */
  readonly echoSubject: string;
  /** From `guestHash`. */
  readonly guest: bigint;
  readonly clock: Clock;
  readonly limits?: DetectorLimits;
  /** How often it speaks to itself, at most. */
  readonly echoEveryMs: number;
  readonly onEvent: (event: WatchEvent) => void;
}

/** Every heartbeat, and what the detector makes of them. */
export type WatchEvent =
  | DetectorEvent
  | {
      readonly kind: 'heartbeat';
      readonly atMs: number;
      /** The sender's session; 0 for none. */
      readonly session: bigint;
      readonly heartbeat: Heartbeat;
    };

/**
 * Listens to one peer's heartbeats. While several agents beat on one subject (a second primary),
 * each heartbeat says whose it is: whom to count is the agent's decision, by `follow`.
 */
export class Watch {
  readonly #options: WatchOptions;
  readonly #detector: SilenceDetector;
  readonly #subscriptions: Subscription[];
  readonly #forgetStatus: () => void;
  #followed: bigint | undefined;
  #echoedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: WatchOptions) {
    this.#options = options;
    const { transport, clock } = options;
    this.#detector = new SilenceDetector(transport.connected, clock.nowMs(), options.limits);
    this.#subscriptions = [
      transport.subscribe(options.subject, (bytes) => this.#hear(bytes)),
      transport.subscribe(options.echoSubject, () => this.#step({ kind: 'echo', nowMs: now() })),
    ];
    const now = () => clock.nowMs();
    this.#forgetStatus = transport.onStatus((connected) =>
      this.#step({ kind: 'connection', connected, nowMs: now() }),
    );
  }

  get lastHeardAtMs(): number | undefined {
    return this.#detector.lastHeardAtMs;
  }

  /**
   * Counts only this agent's heartbeats from now on, or anybody's where it is undefined; and that
   * it is followed as the first of them.
   */
  follow(agent: bigint | undefined): void {
    if (agent === undefined || agent !== this.#followed) {
      this.#step({ kind: 'follow', nowMs: this.#options.clock.nowMs() });
    }
    this.#followed = agent;
  }

  /** Something else than a heartbeat came from the peer: it lives, whatever it gets done. */
  heard(): void {
    this.#step({ kind: 'other-sign', nowMs: this.#options.clock.nowMs() });
  }

  /** To be called every `bounds.watchTickMs`: looks at the clock and speaks to itself. */
  tick(): void {
    const { transport, clock, echoSubject, echoEveryMs } = this.#options;
    const nowMs = clock.nowMs();
    if (nowMs - this.#echoedAtMs >= echoEveryMs) {
      this.#echoedAtMs = nowMs;
      transport.publish(echoSubject, noBytes);
    }
    this.#step({ kind: 'tick', nowMs });
  }

  close(): void {
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    this.#forgetStatus();
  }

  #hear(bytes: Uint8Array): void {
    const heard = this.#decoded(bytes);
    if (heard === undefined) return;
    const { session, heartbeat } = heard;
    const nowMs = this.#options.clock.nowMs();
    if (this.#followed === undefined || heartbeat.agent === this.#followed) {
      this.#step({ kind: 'heartbeat', progress: progressOf(heartbeat), nowMs });
    }
    this.#options.onEvent({ kind: 'heartbeat', atMs: nowMs, session, heartbeat });
  }

  #decoded(bytes: Uint8Array): { session: bigint; heartbeat: Heartbeat } | undefined {
    try {
      const frame = decodeFrame(bytes);
      checkOrigin(frame, this.#options.guest);
      const message = decodeMessage(frame);
      if (message.kind === 'heartbeat') return { session: frame.session, heartbeat: message };
    } catch (error) {
      // A heartbeat that can't be read is none: the next one comes in 50 ms.
      if (!(error instanceof UnderstudyError)) throw error;
    }
    return undefined;
  }

  #step(event: Parameters<SilenceDetector['step']>[0]): void {
    for (const each of this.#detector.step(event)) this.#options.onEvent(each);
  }
}

const noBytes = new Uint8Array(0);

/** What must change while the peer protects a guest; undefined while nothing has to. */
const progressOf = ({ activity, captured, acked }: Heartbeat): string | undefined =>
  activity === 'protecting' ? `${captured}/${acked}` : undefined;
