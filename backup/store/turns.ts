import { monotonicClock } from '../../shared/clock.ts';

/** Pages worked on before the event loop turns: a few milliseconds. */
export const pagesPerTurn = 1024;

/** Lets the event loop turn once whenever `pagesPerTurn` pages were worked on. */
export class Turns {
  #pages = 0;

  async after(pages: number): Promise<void> {
    this.#pages += pages;
    if (this.#pages < pagesPerTurn) return;
    this.#pages = 0;
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

/** So long the event loop may stand still at a time: what came is to be read, and told, meanwhile. */
const turnMs = 5;

/** Lets the event loop turn whenever it stood still for `turnMs`: a slow disk's calls are long. */
export class TimedTurns {
  #turnedAtMs = monotonicClock.nowMs();

  async after(): Promise<void> {
    if (monotonicClock.nowMs() - this.#turnedAtMs < turnMs) return;
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.#turnedAtMs = monotonicClock.nowMs();
  }
}
