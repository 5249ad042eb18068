import { bounds } from '../bounds.ts';
import type { Credit } from '../wire/flow-body.ts';

/**
 * The receiver's half of the data stream as a pure state machine: which frame is taken, when
 * credit is granted, when a gap is reported. Only the frame that comes next is taken; what comes
 * twice or too early is dropped and, if need be, asked for again.
 *
 * Invariant: consumed ≤ expected; frames from consumed to expected − 1 wait for the handler.
 */
export class ReceiveWindow {
  readonly #limits: ReceiveLimits;
  #expected = 1;
  #consumed = 1;
  #queuedBytes = 0;
  #unreportedBytes = 0;
  #unreportedSinceMs: number | undefined;
  #report = 0;
  #connected: boolean;
  /** A frame after `#expected` was seen and `#expected` itself was not taken. */
  #gap = false;
  #gapReports = 0;
  #gapReportedAtMs = Number.NEGATIVE_INFINITY;
  #arrivedAtMs = Number.NEGATIVE_INFINITY;
  #broken = false;

  constructor(connected: boolean, limits: ReceiveLimits = defaultReceiveLimits) {
    this.#limits = limits;
    this.#connected = connected;
  }

  get expected(): number {
    return this.#expected;
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** When `tick` has something to do, on the clock of the events; undefined for never. */
  get dueAtMs(): number | undefined {
    if (this.#broken || !this.#connected) return undefined;
    const credit =
      this.#unreportedSinceMs === undefined
        ? Number.POSITIVE_INFINITY
        : this.#unreportedSinceMs + this.#limits.creditDelayMs;
    const repair = this.#gap ? this.#repairDueAtMs() : Number.POSITIVE_INFINITY;
    const due = Math.min(credit, repair);
    return due === Number.POSITIVE_INFINITY ? undefined : due;
  }

  step(event: ReceiveEvent): readonly ReceiveEffect[] {
    if (this.#broken) return [];
    switch (event.kind) {
      case 'frame':
        return this.#frame(event.sequence, event.bytes, event.nowMs);
      case 'consumed':
        return this.#consume(event.bytes, event.nowMs);
      case 'probe':
        // Everything before the probe has been delivered or lost: the bus keeps a sender's order.
        return [this.#makeReport(event.next > this.#expected, event.nowMs)];
      case 'disconnected':
        this.#connected = false;
        return [];
      case 'connected':
        // What was sent meanwhile went past us.
        this.#connected = true;
        return [this.#makeReport(true, event.nowMs)];
      case 'tick':
        return this.#tick(event.nowMs);
    }
  }

  #frame(sequence: number, bytes: number, nowMs: number): readonly ReceiveEffect[] {
    this.#arrivedAtMs = nowMs;
    if (sequence < this.#expected) return [{ kind: 'drop', why: 'duplicate' }];
    if (sequence > this.#expected) {
      const known = this.#gap;
      this.#gap = true;
      const drop: ReceiveEffect = { kind: 'drop', why: 'gap' };
      return known ? [drop] : [drop, this.#makeReport(true, nowMs)];
    }
    if (this.#queuedBytes > 0 && this.#queuedBytes + bytes > this.#limits.windowBytes) {
      this.#gap = true;
      return [{ kind: 'drop', why: 'no-room' }];
    }
    this.#expected += 1;
    this.#queuedBytes += bytes;
    this.#gap = false;
    this.#gapReports = 0;
    return [{ kind: 'accept' }];
  }

  #consume(bytes: number, nowMs: number): readonly ReceiveEffect[] {
    if (this.#consumed === this.#expected) throw new Error('more frames consumed than accepted');
    this.#consumed += 1;
    this.#queuedBytes -= bytes;
    this.#unreportedBytes += bytes;
    this.#unreportedSinceMs ??= nowMs;
    const step = this.#limits.windowBytes / this.#limits.creditShare;
    return this.#unreportedBytes >= step ? [this.#makeReport(false, nowMs)] : [];
  }

  #tick(nowMs: number): readonly ReceiveEffect[] {
    if (!this.#connected) return [];
    if (this.#gap && nowMs >= this.#repairDueAtMs()) {
      this.#gapReports += 1;
      if (this.#gapReports > this.#limits.repairsMax) {
        this.#broken = true;
        const reason = `frame ${this.#expected} did not come in ${this.#limits.repairsMax} reports`;
        return [{ kind: 'broken', reason }];
      }
      return [this.#makeReport(true, nowMs)];
    }
    const since = this.#unreportedSinceMs;
    if (since !== undefined && nowMs >= since + this.#limits.creditDelayMs) {
      return [this.#makeReport(false, nowMs)];
    }
    return [];
  }

  #repairDueAtMs(): number {
    return Math.max(this.#gapReportedAtMs, this.#arrivedAtMs) + this.#limits.repairAfterMs;
  }

  #makeReport(repair: boolean, nowMs: number): ReceiveEffect {
    this.#report += 1;
    this.#unreportedBytes = 0;
    this.#unreportedSinceMs = undefined;
    if (repair) this.#gapReportedAtMs = nowMs;
    const [consumed, expected] = [this.#consumed, this.#expected];
    const credit: Credit = { kind: 'credit', report: this.#report, consumed, expected, repair };
    return { kind: 'report', credit };
  }
}

export type ReceiveEvent =
  | {
      readonly kind: 'frame';
      readonly sequence: number;
      readonly bytes: number;
      readonly nowMs: number;
    }
  /** The handler is done with the oldest waiting frame, of `bytes`. */
  | { readonly kind: 'consumed'; readonly bytes: number; readonly nowMs: number }
  | { readonly kind: 'probe'; readonly next: number; readonly nowMs: number }
  | { readonly kind: 'disconnected' }
  | { readonly kind: 'connected'; readonly nowMs: number }
  | { readonly kind: 'tick'; readonly nowMs: number };

export type ReceiveEffect =
  /** The frame of this event joins the queue. */
  | { readonly kind: 'accept' }
  | { readonly kind: 'drop'; readonly why: 'duplicate' | 'gap' | 'no-room' }
  | { readonly kind: 'report'; readonly credit: Credit }
  /** For good: the stream must be given up. */
  | { readonly kind: 'broken'; readonly reason: string };

export interface ReceiveLimits {
  readonly windowBytes: number;
  readonly creditShare: number;
  readonly creditDelayMs: number;
  readonly repairAfterMs: number;
  readonly repairsMax: number;
}

export const defaultReceiveLimits: ReceiveLimits = {
  windowBytes: bounds.windowBytes,
  creditShare: bounds.creditShare,
  creditDelayMs: bounds.creditDelayMs,
  repairAfterMs: bounds.repairAfterMs,
  repairsMax: bounds.repairsMax,
};
