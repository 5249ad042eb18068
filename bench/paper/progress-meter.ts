import { setTimeout as sleep } from 'node:timers/promises';
import { askStore, numberIn } from './guest-client.ts';
import { WebClients } from './web-clients.ts';
import type { Workload } from './workloads.ts';

const questionMs = 10_000;
const startMsMax = 150_000;
/** So much is the workload's own: a counter and our questions count among a store's commands. */
const begunAt = {
  ...{ counter: 2, progress: 2, commands: 5000 },
  ...{ downloads: 2 ** 20, pages: 2 ** 17 },
} as const;

/** What was done between two instants of `performance.now()`. */
export interface WorkDone {
  readonly fromMs: number;
  readonly toMs: number;
  readonly perSecond: number;
}

/** How much a workload gets done, as a client on the network learns it. */
export class ProgressMeter {
  readonly #work: Workload['work'];
  readonly #clients: WebClients | undefined;

  constructor({ work }: Workload) {
    this.#work = work;
    if (work === 'downloads' || work === 'pages') this.#clients = new WebClients(work);
  }

  /** After a failover: what a connection of the old copy waits for may never come. */
  reconnect(): void {
    this.#clients?.reconnect();
  }

  stop(): void {
    this.#clients?.stop();
  }

  /** Waits until the workload works. Throws where it does not begin. */
  async begun(signal: AbortSignal): Promise<void> {
    const endAtMs = performance.now() + startMsMax;
    while (performance.now() < endAtMs) {
      if (((await this.#ask()) ?? 0) >= begunAt[this.#work]) return;
      await sleep(100, undefined, { signal });
    }
    throw new Error(`the guest’s work (${this.#work}) does not begin`);
  }

  /** The work of about `ms`. Throws where the guest does not answer. */
  async measure(ms: number, signal: AbortSignal): Promise<WorkDone> {
    const from = await this.#read();
    await sleep(ms, undefined, { signal });
    const to = await this.#read();
    const perSecond = ((to.done - from.done) / (to.atMs - from.atMs)) * 1000;
    return { fromMs: from.atMs, toMs: to.atMs, perSecond };
  }

  async #read(): Promise<{ readonly done: number; readonly atMs: number }> {
    // A connection may be lost, as when the guest's uplink opens.
    for (let attempt = 0; attempt < 3; attempt++) {
      // The answer may wait for a checkpoint: its value is older than its arrival.
      const atMs = performance.now();
      const done = await this.#ask();
      if (done !== undefined) return { done, atMs };
    }
    throw new Error(`the guest does not tell its progress (${this.#work})`);
  }

  async #ask(): Promise<number | undefined> {
    if (this.#clients !== undefined) return this.#clients.bytes;
    if (this.#work !== 'commands')
      return numberIn(await askStore(`GET lab:${this.#work}`, questionMs));
    const answer = await askStore('INFO stats', questionMs);
    const digits = /total_commands_processed:(\d+)/.exec(answer ?? '')?.[1];
    return digits === undefined ? undefined : Number(digits);
  }
}
