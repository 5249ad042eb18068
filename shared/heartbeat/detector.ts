import { bounds } from '../bounds.ts';

/**
 * Decides from what was heard, and when, whether the peer is silent: pure, no clock, no timer.
 *
 * Silence counts only while we could have heard. We could not (`blind`) while our connection is
 * down, when our own process stood still for longer than the limit, or when our own echo, which
 * takes the same way as the peer's heartbeats, did not come back. After that the limit starts
 * anew. A shorter standstill of ours counts with a quarter of the limit at most: what the peer said
 * meanwhile is still to be read. The echo must have been heard within half a limit: a path that broke
 * together with the peer's last heartbeat is then never taken for the peer's death.
 *
 * One `silent` for each silence; nothing is decided before the first heartbeat.
 */
export class SilenceDetector {
  readonly #limits: DetectorLimits;
  #lastHeardAtMs: number | undefined;
  #lastBeatAtMs: number | undefined;
  #progress: string | undefined;
  #progressAtMs = 0;
  #lastEchoAtMs: number;
  #lastTickAtMs: number;
  #connected: boolean;
  /** Silence is counted from here or from the last heartbeat, whichever is later. */
  #hearingSinceMs: number;
  /** Of the time since then: nobody could have heard. */
  #deafMs = 0;
  #silent = false;
  #blind = false;
  #wedged = false;

  constructor(connected: boolean, nowMs: number, limits: DetectorLimits = defaultLimits) {
    this.#limits = limits;
    this.#connected = connected;
    this.#lastEchoAtMs = nowMs;
    this.#lastTickAtMs = nowMs;
    this.#hearingSinceMs = nowMs;
  }

  get lastHeardAtMs(): number | undefined {
    return this.#lastHeardAtMs;
  }

  step(event: DetectorInput): readonly DetectorEvent[] {
    switch (event.kind) {
      case 'heartbeat':
        return this.#heardBeat(event.progress, event.nowMs);
      case 'other-sign':
        return this.#heard(event.nowMs);
      case 'follow':
        this.#lastHeardAtMs = event.nowMs;
        this.#lastBeatAtMs = undefined;
        this.#deafMs = 0;
        this.#progress = undefined;
        this.#silent = false;
        this.#wedged = false;
        return [];
      case 'echo':
        this.#lastEchoAtMs = event.nowMs;
        return [];
      case 'connection':
        this.#connected = event.connected;
        return event.connected ? [] : this.#goBlind('disconnected', event.nowMs);
      case 'tick':
        return this.#tick(event.nowMs);
    }
  }

  #heard(nowMs: number): DetectorEvent[] {
    const events: DetectorEvent[] = [];
    if (this.#lastHeardAtMs === undefined) events.push({ kind: 'heard-first', atMs: nowMs });
    else if (this.#silent) {
      events.push({ kind: 'back', atMs: nowMs, silentMs: nowMs - this.#lastHeardAtMs });
    }
    this.#lastHeardAtMs = nowMs;
    this.#deafMs = 0;
    this.#silent = false;
    return events;
  }

  #heardBeat(progress: string | undefined, nowMs: number): readonly DetectorEvent[] {
    const events = this.#heard(nowMs);
    const gapMs = nowMs - (this.#lastBeatAtMs ?? nowMs);
    this.#lastBeatAtMs = nowMs;
    // After a gap nobody knows when the counters moved last.
    const unknown = progress === undefined || gapMs > this.#limits.limitMs;
    if (unknown || progress !== this.#progress) {
      this.#progress = progress;
      this.#progressAtMs = nowMs;
      if (this.#wedged) events.push({ kind: 'moving', atMs: nowMs });
      this.#wedged = false;
    } else if (!this.#wedged && nowMs - this.#progressAtMs >= this.#limits.wedgedMs) {
      this.#wedged = true;
      events.push({ kind: 'wedged', atMs: nowMs, stillMs: nowMs - this.#progressAtMs });
    }
    return events;
  }

  #tick(nowMs: number): readonly DetectorEvent[] {
    const lateMs = nowMs - this.#lastTickAtMs;
    this.#lastTickAtMs = nowMs;
    const { limitMs } = this.#limits;
    if (lateMs > limitMs) {
      // What the peer sent meanwhile is still to be read, and so is our own echo.
      this.#lastEchoAtMs = nowMs;
      return this.#goBlind('stopped', nowMs);
    }
    this.#deafMs += Math.max(0, lateMs - limitMs * standstillShare);
    if (!this.#connected) return this.#goBlind('disconnected', nowMs);
    const echoAgeMs = nowMs - this.#lastEchoAtMs;
    if (echoAgeMs > limitMs) return this.#goBlind('no-echo', nowMs);

    const events: DetectorEvent[] = [];
    if (this.#blind && echoAgeMs <= limitMs / 2) {
      this.#blind = false;
      this.#hearingSinceMs = nowMs;
      this.#deafMs = 0;
      events.push({ kind: 'sighted', atMs: nowMs });
    }
    if (this.#blind || this.#lastHeardAtMs === undefined || this.#silent) return events;
    const silentMs = nowMs - Math.max(this.#lastHeardAtMs, this.#hearingSinceMs) - this.#deafMs;
    if (silentMs > limitMs && echoAgeMs <= limitMs / 2) {
      this.#silent = true;
      events.push({ kind: 'silent', atMs: nowMs, lastHeardAtMs: this.#lastHeardAtMs });
    }
    return events;
  }

  #goBlind(why: BlindReason, nowMs: number): readonly DetectorEvent[] {
    this.#hearingSinceMs = nowMs;
    this.#deafMs = 0;
    if (this.#blind) return [];
    this.#blind = true;
    return [{ kind: 'blind', atMs: nowMs, why }];
  }
}

/** Of the limit: so much of one standstill counts as silence. */
const standstillShare = 0.25;

export type DetectorInput =
  /** `progress` changes when the peer gets on; undefined while it need not. */
  | { readonly kind: 'heartbeat'; readonly progress: string | undefined; readonly nowMs: number }
  /** Something else came from the peer: it lives, and says nothing of how it gets on. */
  | { readonly kind: 'other-sign'; readonly nowMs: number }
  /** Another peer counts from now on; that it has just shown itself counts as a heartbeat. */
  | { readonly kind: 'follow'; readonly nowMs: number }
  | { readonly kind: 'echo'; readonly nowMs: number }
  | { readonly kind: 'connection'; readonly connected: boolean; readonly nowMs: number }
  | { readonly kind: 'tick'; readonly nowMs: number };

/** Why nothing could be heard: `stopped` means that our own process stood still. */
export type BlindReason = 'disconnected' | 'stopped' | 'no-echo';

/** `atMs` is on this machine's monotonic clock. */
export type DetectorEvent =
  | { readonly kind: 'heard-first'; readonly atMs: number }
  | { readonly kind: 'silent'; readonly atMs: number; readonly lastHeardAtMs: number }
  | { readonly kind: 'back'; readonly atMs: number; readonly silentMs: number }
  | { readonly kind: 'blind'; readonly atMs: number; readonly why: BlindReason }
  | { readonly kind: 'sighted'; readonly atMs: number }
  | { readonly kind: 'wedged'; readonly atMs: number; readonly stillMs: number }
  | { readonly kind: 'moving'; readonly atMs: number };

export interface DetectorLimits {
  /** Silence for longer than this is told. */
  readonly limitMs: number;
  readonly wedgedMs: number;
}

const defaultLimits: DetectorLimits = {
  limitMs: bounds.silenceLimitMs,
  wedgedMs: bounds.wedgedLimitMs,
};
