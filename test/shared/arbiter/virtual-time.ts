import { setImmediate as turn } from 'node:timers/promises';

/** Time that passes only by `run`, with promises settled between any two moments. */
export class VirtualTime {
  nowMs = 0;
  readonly #later: { atMs: number; order: number; run: () => void }[] = [];
  #order = 0;

  readonly schedule = (ms: number, run: () => void): void => {
    this.#later.push({ atMs: this.nowMs + ms, order: this.#order++, run });
  };

  readonly pause = (ms: number): Promise<void> =>
    new Promise((resolve) => this.schedule(ms, resolve));

  /** Lets time pass until `done` has settled. */
  async run<T>(done: Promise<T>): Promise<T> {
    let settled = false;
    const end = () => {
      settled = true;
    };
    done.then(end, end);
    for (;;) {
      await turn();
      if (settled) return await done;
      this.#later.sort((a, b) => a.atMs - b.atMs || a.order - b.order);
      const next = this.#later.shift();
      if (next === undefined) throw new Error('nothing will ever happen again');
      this.nowMs = next.atMs;
      next.run();
    }
  }
}
