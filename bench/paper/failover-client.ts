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
const openMax = 60;
const givenUpMs = 60_000;
/** So short that there is always room for a new question: `openMax` of `everyMs` take longer. */
const questionMs = 2000;

/**
 * A client that reads the guest's counter over and over, each time on a new connection, through a
 * failover. What it was told before is what a takeover must not fall behind.
 */
export class FailoverClient {
  #told = 0;
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
    if (this.#open >= openMax) return;
    this.#open += 1;
    const askedAtMs = performance.now();
    const value = numberIn(await askStore('GET lab:counter', questionMs));
    this.#open -= 1;
    if (value === undefined) return;
    const killedAtMs = this.#killedAtMs;
    // What the old copy's last frames still carry was told, too.
    if (killedAtMs === undefined || askedAtMs <= killedAtMs) {
      this.#told = Math.max(this.#told, value);
      return;
    }
    const sinceMs = performance.now() - killedAtMs;
    this.#answersMs ??= sinceMs;
    if (value > this.#told) this.#regainedMs ??= sinceMs;
  }
}
