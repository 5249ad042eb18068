import type { Clock } from '../clock.ts';
import { term } from '../ids.ts';
import type { Transport } from '../transport/transport.ts';
import { encodeMessage } from '../wire/message.ts';
import type { ProgressCell } from './progress-cell.ts';

export interface BeaconOptions {
  readonly transport: Transport;
  readonly subject: string;
  /** From `guestHash`. */
  readonly guest: bigint;
  /** The agent's own number, drawn when its process starts. */
  readonly agent: bigint;
  readonly progress: ProgressCell;
  readonly clock: Clock;
}

/** Says that this agent lives and how far it is. Whoever owns it calls `beat` at an interval. */
export class Beacon {
  readonly #options: BeaconOptions;
  #beats = 0;

  constructor(options: BeaconOptions) {
    this.#options = options;
  }

  /** Says it once. Without effect while disconnected. */
  beat(): void {
    const { transport, subject, guest, agent, progress, clock } = this.#options;
    this.#beats += 1;
    const { captured, acked, activity, session } = progress;
    const from = { guest, session, term: term(0) };
    const sentAtMs = clock.nowMs();
    const beat = this.#beats;
    const message = {
      kind: 'heartbeat',
      agent,
      beat,
      captured,
      acked,
      activity,
      sentAtMs,
    } as const;
    transport.publish(subject, encodeMessage(from, message));
  }
}
