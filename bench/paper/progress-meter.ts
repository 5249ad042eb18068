import { setTimeout as sleep } from 'node:timers/promises';
import { askStore, numberIn } from './guest-client.ts';
import type { Workload } from './workloads.ts';

const questionMs = 10_000;
const startMsMax = 60_000;

/** How much a workload gets done, as a client on the network learns it. */
export class ProgressMeter {
  readonly #work: Workload['work'];

  constructor({ work }: Workload) {
    this.#work = work;
  }

  /** Waits until the workload works. Throws where it does not begin. */
  async begun(signal: AbortSignal): Promise<void> {
    const endAtMs = performance.now() + startMsMax;
    let first: number | undefined;
    while (performance.now() < endAtMs) {
      const now = await this.#ask();
      if (now !== undefined && first !== undefined && now > first + 1) return;
      first ??= now;
      await sleep(100, undefined, { signal });
    }
    throw new Error(`the guest’s work (${this.#work}) does not begin`);
  }

  /** Work a second over about `ms`. Throws where the guest does not answer. */
  async rate(ms: number, signal: AbortSignal): Promise<number> {
    const from = await this.#read();
    await sleep(ms, undefined, { signal });
    const to = await this.#read();
    return ((to.done - from.done) / (to.atMs - from.atMs)) * 1000;
  }

  async #read(): Promise<{ readonly done: number; readonly atMs: number }> {
    // A first one: what is measured is not held up by a connection that is lost.
    for (let attempt = 0; attempt < 3; attempt++) {
      // The answer may wait for a checkpoint: its value is older than its arrival.
      const atMs = performance.now();
      const done = await this.#ask();
      if (done !== undefined) return { done, atMs };
    }
    throw new Error(`the guest does not tell its progress (${this.#work})`);
  }

  async #ask(): Promise<number | undefined> {
    if (this.#work !== 'commands')
      return numberIn(await askStore(`GET lab:${this.#work}`, questionMs));
    const answer = await askStore('INFO stats', questionMs);
    const digits = /total_commands_processed:(\d+)/.exec(answer ?? '')?.[1];
    return digits === undefined ? undefined : Number(digits);
  }
}
