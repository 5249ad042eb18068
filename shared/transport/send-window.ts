import { bounds } from '../bounds.ts';
import type { Credit } from '../wire/flow-body.ts';

/**
 * The sender's half of the data stream as a pure state machine: which frame goes out next, which
 * may be forgotten, when to ask, when to give up. It knows sizes and sequences, not bytes.
 *
 * Frames are kept until the receiver has consumed them, so that any of them can be sent again
 * (go-back-N). After a reconnect nothing goes out before the receiver has said what it expects.
 *
 * Invariant: base ≤ expected ≤ sent ≤ next, and expected ≤ cursor ≤ next; base is the oldest
 * frame kept, `sent` the end of what ever went out, `cursor` the frame to transmit next.
 */
export class SendWindow {
  readonly #limits: SendLimits;
  readonly #sizes: Uint32Array;
  #base = 1;
  #expected = 1;
  #cursor = 1;
  #sent = 1;
  #next = 1;
  #heldBytes = 0;
  #connected: boolean;
  /** Reconnected, and not told yet where to go on. */
  #resuming = false;
  #reportSeen = 0;
  #repairs = 0;
  #repairedFrom = 0;
  #repairedAtMs = Number.NEGATIVE_INFINITY;
  #progressAtMs = 0;
  #heardAtMs = 0;
  #probedAtMs = Number.NEGATIVE_INFINITY;
  #stalled = false;
  #broken = false;

  constructor(connected: boolean, limits: SendLimits = defaultSendLimits) {
    this.#limits = limits;
    this.#sizes = new Uint32Array(limits.windowFrames);
    this.#connected = connected;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  get heldFrames(): number {
    return this.#next - this.#base;
  }

  /** The sequence that the next accepted frame gets. */
  get nextSequence(): number {
    return this.#next;
  }

  /** A frame of any size fits an empty window. */
  hasRoom(bytes: number): boolean {
    if (this.heldFrames === 0) return true;
    if (this.heldFrames >= this.#limits.windowFrames) return false;
    return this.#heldBytes + bytes <= this.#limits.windowBytes;
  }

  /** The frame to transmit now, as its place after the oldest held one; undefined for none. */
  get toTransmit(): number | undefined {
    if (!this.#connected || this.#resuming || this.#broken) return undefined;
    return this.#cursor < this.#next ? this.#cursor - this.#base : undefined;
  }

  step(event: SendEvent): readonly SendEffect[] {
    if (this.#broken) return [];
    switch (event.kind) {
      case 'accepted':
        return this.#accept(event.bytes, event.nowMs);
      case 'transmitted':
        if (this.toTransmit === undefined) throw new Error('a frame went out that was not due');
        this.#cursor += 1;
        this.#sent = Math.max(this.#sent, this.#cursor);
        return [];
      case 'credit':
        return this.#credit(event.credit, event.nowMs);
      case 'disconnected':
        this.#connected = false;
        return [];
      case 'connected':
        this.#connected = true;
        if (this.heldFrames === 0) return [];
        this.#resuming = true;
        return this.#probe(event.nowMs);
      case 'tick':
        return this.#tick(event.nowMs);
    }
  }

  #accept(bytes: number, nowMs: number): readonly SendEffect[] {
    if (!this.hasRoom(bytes)) throw new Error('a frame was accepted into a full window');
    if (this.heldFrames === 0) {
      this.#progressAtMs = nowMs;
      this.#heardAtMs = nowMs;
    }
    this.#sizes[this.#next % this.#sizes.length] = bytes;
    this.#heldBytes += bytes;
    this.#next += 1;
    return [];
  }

  #credit(credit: Credit, nowMs: number): readonly SendEffect[] {
    if (credit.report <= this.#reportSeen) return [];
    if (credit.expected > this.#sent) {
      return this.#break(`the receiver expects frame ${credit.expected}, which was never sent`);
    }
    if (credit.consumed < this.#base || credit.expected < this.#expected) {
      return this.#break('the receiver went back behind what it had reported');
    }
    this.#reportSeen = credit.report;
    this.#heardAtMs = nowMs;
    if (credit.expected > this.#expected) this.#repairs = 0;
    this.#expected = credit.expected;
    this.#cursor = Math.max(this.#cursor, credit.expected);
    const effects: SendEffect[] = this.#release(credit.consumed, nowMs);
    if (this.#resuming) {
      this.#resuming = false;
      this.#cursor = credit.expected;
    } else if (credit.repair && credit.expected < this.#cursor) {
      effects.push(...this.#repair(credit.expected, nowMs));
    }
    return effects;
  }

  #release(consumed: number, nowMs: number): SendEffect[] {
    const frames = consumed - this.#base;
    if (frames === 0) return [];
    for (; this.#base < consumed; this.#base++) {
      this.#heldBytes -= this.#sizes[this.#base % this.#sizes.length]!;
    }
    this.#progressAtMs = nowMs;
    const effects: SendEffect[] = [{ kind: 'release', frames }];
    if (this.#stalled) effects.push({ kind: 'moving' });
    this.#stalled = false;
    return effects;
  }

  #repair(from: number, nowMs: number): readonly SendEffect[] {
    const again = from === this.#repairedFrom;
    // A probe's answer and a gap's report may ask for the same twice.
    if (again && nowMs - this.#repairedAtMs < this.#limits.repairAfterMs) return [];
    this.#repairs += 1;
    if (this.#repairs > this.#limits.repairsMax) {
      return this.#break(`frame ${from} did not arrive in ${this.#limits.repairsMax} attempts`);
    }
    this.#repairedFrom = from;
    this.#repairedAtMs = nowMs;
    this.#cursor = from;
    return [{ kind: 'repairing', from }];
  }

  #tick(nowMs: number): readonly SendEffect[] {
    if (this.heldFrames === 0) return [];
    const effects: SendEffect[] = [];
    const stillMs = nowMs - this.#progressAtMs;
    if (!this.#stalled && stillMs >= this.#limits.stallMs) {
      this.#stalled = true;
      effects.push({ kind: 'stalled', stillMs });
    }
    const quietMs = nowMs - Math.max(this.#heardAtMs, this.#probedAtMs);
    if (this.#connected && quietMs >= this.#limits.probeAfterMs) {
      effects.push(...this.#probe(nowMs));
    }
    return effects;
  }

  #probe(nowMs: number): readonly SendEffect[] {
    this.#probedAtMs = nowMs;
    return [{ kind: 'probe', next: this.#cursor }];
  }

  #break(reason: string): readonly SendEffect[] {
    this.#broken = true;
    return [{ kind: 'broken', reason }];
  }
}

export type SendEvent =
  | { readonly kind: 'accepted'; readonly bytes: number; readonly nowMs: number }
  /** The frame that `toTransmit` named was handed to the bus. */
  | { readonly kind: 'transmitted' }
  | { readonly kind: 'credit'; readonly credit: Credit; readonly nowMs: number }
  | { readonly kind: 'disconnected' }
  | { readonly kind: 'connected'; readonly nowMs: number }
  | { readonly kind: 'tick'; readonly nowMs: number };

export type SendEffect =
  /** The oldest `frames` were consumed: let them go. */
  | { readonly kind: 'release'; readonly frames: number }
  | { readonly kind: 'probe'; readonly next: number }
  | { readonly kind: 'repairing'; readonly from: number }
  | { readonly kind: 'stalled'; readonly stillMs: number }
  | { readonly kind: 'moving' }
  /** For good: the stream must be given up. */
  | { readonly kind: 'broken'; readonly reason: string };

export interface SendLimits {
  readonly windowBytes: number;
  readonly windowFrames: number;
  readonly probeAfterMs: number;
  readonly repairAfterMs: number;
  readonly repairsMax: number;
  readonly stallMs: number;
}

export const defaultSendLimits: SendLimits = {
  windowBytes: bounds.windowBytes,
  windowFrames: bounds.windowFramesMax,
  probeAfterMs: bounds.probeAfterMs,
  repairAfterMs: bounds.repairAfterMs,
  repairsMax: bounds.repairsMax,
  stallMs: bounds.streamStallMs,
};
