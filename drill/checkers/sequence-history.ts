import { quantile } from '../measure.ts';
import type { Latency, Stretch } from './witness.ts';

/**
 * What a client did to the store, as the client saw it. Write `n` (from 1) is one transaction:
 * it sets slot `n % slotCount` to `n` and counts itself, so the store's state after any prefix
 * of the writes is known exactly. Writes go over one connection and are applied in order.
 */
export class SequenceHistory {
  readonly slotCount: number;
  /** Instants on this machine's monotonic clock; write `n` at index `n - 1`. */
  readonly sentAtMs: number[] = [];
  /** NaN for a write that was not acknowledged. */
  readonly ackedAtMs: number[] = [];
  /** The guest's own counter as it stood when the write was applied; NaN like the above. */
  readonly guestCounter: number[] = [];

  constructor(slotCount: number) {
    this.slotCount = slotCount;
  }

  /** Number of the last write that was sent; 0 if none was. */
  get sent(): number {
    return this.sentAtMs.length;
  }

  /** Records that a write is about to be sent; returns its number. */
  send(nowMs: number): number {
    this.sentAtMs.push(nowMs);
    this.ackedAtMs.push(Number.NaN);
    this.guestCounter.push(Number.NaN);
    return this.sentAtMs.length;
  }

  acknowledge(write: number, nowMs: number, guestCounter: number): void {
    this.ackedAtMs[write - 1] = nowMs;
    this.guestCounter[write - 1] = guestCounter;
  }

  /** Number of the last write that was acknowledged before `instantMs`; 0 if none was. */
  lastAckedBefore(instantMs: number): number {
    for (let n = this.sent; n > 0; n--) {
      if (this.ackedAtMs[n - 1]! < instantMs) return n;
    }
    return 0;
  }

  /** Number of the last write that was sent before `instantMs`; 0 if none was. */
  lastSentBefore(instantMs: number): number {
    for (let n = this.sent; n > 0; n--) {
      if (this.sentAtMs[n - 1]! < instantMs) return n;
    }
    return 0;
  }
}

/** Distribution of the times from sending to acknowledgement, of writes sent in the stretch. */
export function latencyOf(history: SequenceHistory, { name, fromMs, toMs }: Stretch): Latency {
  const times = history.sentAtMs.flatMap((sentAtMs, index) => {
    const ackedAtMs = history.ackedAtMs[index]!;
    const isCounted = sentAtMs >= fromMs && sentAtMs < toMs && !Number.isNaN(ackedAtMs);
    return isCounted ? [ackedAtMs - sentAtMs] : [];
  });
  return {
    ...{ stretch: name, answers: times.length },
    ...{ p50Ms: quantile(times, 0.5), p90Ms: quantile(times, 0.9) },
    ...{ p99Ms: quantile(times, 0.99), maxMs: quantile(times, 1) },
  };
}

/** A time in which no answer came to a client that asked all the while. */
export interface Gap {
  readonly fromMs: number;
  readonly toMs: number;
}

/** The longest times between two answers that followed each other, the longest first. */
export function longestGaps(history: SequenceHistory, count: number): Gap[] {
  const acked = history.ackedAtMs.filter((atMs) => !Number.isNaN(atMs)).sort((a, b) => a - b);
  return acked
    .slice(1)
    .map((toMs, index) => ({ fromMs: acked[index]!, toMs }))
    .sort((a, b) => b.toMs - b.fromMs - (a.toMs - a.fromMs))
    .slice(0, count);
}

export const writesKey = 'lab:writes';
export const slotKey = (slot: number) => `lab:seq:${slot}`;
