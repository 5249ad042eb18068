import type { Clock } from '../clock.ts';

/**
 * Where the time of an epoch goes. Stages of one lane never overlap, or lie one inside the other.
 *
 *   guest   pause (stop, scan, copy, device, resume), brake: the guest stands still
 *   agent   live-scan, live-copy, look, encode, send, audit
 *   backup  receive (decode), apply
 */
const stages = {
  pause: 'guest',
  stop: 'guest',
  scan: 'guest',
  copy: 'guest',
  device: 'guest',
  resume: 'guest',
  brake: 'guest',
  'live-scan': 'agent',
  'live-copy': 'agent',
  look: 'agent',
  encode: 'agent',
  send: 'agent',
  audit: 'agent',
  receive: 'backup',
  decode: 'backup',
  apply: 'backup',
} as const;

export type Stage = keyof typeof stages;

export const lanes = ['guest', 'agent', 'backup'] as const;

export type Lane = (typeof lanes)[number];

export const laneOf = (stage: Stage): Lane => stages[stage];

export interface Span {
  readonly stage: Stage;
  /** On the monotonic clock. */
  readonly fromMs: number;
  readonly ms: number;
}

/** More in one epoch are left out: a synchronisation has one for each of its chunks. */
const spansMax = 400;

/** Collects the spans of one epoch. */
export class SpanList {
  readonly #clock: Clock;
  #spans: Span[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** What began at `fromMs` ends now; returns how long it took. */
  end(stage: Stage, fromMs: number): number {
    const ms = this.#clock.nowMs() - fromMs;
    this.add(stage, fromMs, ms);
    return ms;
  }

  add(stage: Stage, fromMs: number, ms: number): void {
    if (this.#spans.length < spansMax) this.#spans.push({ stage, fromMs, ms });
  }

  /** Those since the last call. */
  take(): readonly Span[] {
    const spans = this.#spans;
    this.#spans = [];
    return spans;
  }
}
