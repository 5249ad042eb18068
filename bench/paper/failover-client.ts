import { setTimeout as sleep } from 'node:timers/promises';
import { askStore, numberIn } from './guest-client.ts';

export interface FailoverSeen {
  /** From the kill to the first answer to a question that was asked after it. */
  readonly answersMs: number;
  /** From the kill to the first answer that goes beyond what had been told before it. */
  readonly regainedMs: number;
}

/** Rarely enough that the questions themselves are no load. */
const everyMs = 40;
const givenUpMs = 60_000;
/** Before the kill an answer may wait for checkpoints that are slow. */
const before = { openMax: 10, questionMs: 20_000 } as const;
/** After it there is always room for a new question: `openMax` of `everyMs` take longer. */
const after = { openMax: 60, questionMs: 2000 } as const;

/**
 * A client that reads the guest's counter over and over, each time on a new connection, through a
 * failover. What it was told before is what a takeover must not fall behind.
 */
export class FailoverClient {
  #told = 0;
  /** Questions of this side of the kill. */
  #open = 0;
  #killedAtMs: number | undefined;
  #answersMs: number | undefined;
  #regainedMs: number | undefined;
  readonly #timer: NodeJS.Timeout;

  constructor() {
    this.#timer = setInterval(() => void this.#ask(), everyMs);
  }

  /** It was told something: there is a state to fall behind. */
  get hasHeard(): boolean {
    return this.#told > 0;
  }

  killed(): void {
    this.#killedAtMs = performance.now();
    this.#open = 0;
  }

  /** Undefined where the guest did not come back in time. */
  async seen(signal: AbortSignal): Promise<FailoverSeen | undefined> {
    const endAtMs = performance.now() + givenUpMs;
    while (performance.now() < endAtMs) {
      const [answersMs, regainedMs] = [this.#answersMs, this.#regainedMs];
      if (answersMs !== undefined && regainedMs !== undefined) return { answersMs, regainedMs };
      await sleep(everyMs, undefined, { signal });
    }
    return undefined;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #ask(): Promise<void> {
    const isAfter = this.#killedAtMs !== undefined;
    const { openMax, questionMs } = isAfter ? after : before;
    if (this.#open >= openMax) return;
    this.#open += 1;
    const value = numberIn(await askStore('GET lab:counter', questionMs));
    if (isAfter === (this.#killedAtMs !== undefined)) this.#open -= 1;
    if (value === undefined) return;
    const killedAtMs = this.#killedAtMs;
    // What the old copy's last frames still carry was told, too.
    if (killedAtMs === undefined || !isAfter) {
      this.#told = Math.max(this.#told, value);
      return;
    }
    const sinceMs = performance.now() - killedAtMs;
    this.#answersMs ??= sinceMs;
    if (value > this.#told) this.#regainedMs ??= sinceMs;
  }
}
