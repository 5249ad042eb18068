import { setTimeout as sleep } from 'node:timers/promises';
import { monotonicClock } from '../../shared/clock.ts';
import { SequenceHistory, slotKey, writesKey } from './sequence-history.ts';
import type { StoreClient } from './store-connection.ts';

const tickMs = 4;
const restTickMs = 100;
/** Invariant: sent − answered ≤ outstandingMax. */
const outstandingMax = 256;

export interface WriterOptions {
  readonly client: StoreClient;
  readonly writesPerSecond: number;
  readonly slotCount: number;
}

/** Writes numbered records at a steady rate and remembers when each was sent and acknowledged. */
export class SequenceWriter {
  readonly history: SequenceHistory;
  readonly #client: StoreClient;
  readonly #perMs: number;
  #running = true;
  #isResting = false;
  #outstanding = 0;
  #brokenBy: string | undefined;
  #loop: Promise<void>;

  constructor(options: WriterOptions) {
    this.#client = options.client;
    this.#perMs = options.writesPerSecond / 1000;
    this.history = new SequenceHistory(options.slotCount);
    this.#loop = this.#run();
  }

  /** Why the writer stopped by itself: the first error; undefined while it works. */
  get brokenBy(): string | undefined {
    return this.#brokenBy;
  }

  /** Sends nothing for a while, or goes on; answers on their way are taken meanwhile. */
  rest(isResting: boolean): void {
    this.#isResting = isResting;
  }

  /** Sends nothing more and lets go of the connection: answers on their way are not waited for. */
  async stop(): Promise<void> {
    this.#running = false;
    await this.#loop;
    this.#client.destroy();
  }

  /** Sends nothing more and waits for what is on its way. How many answers did not come. */
  async drain(deadlineMs: number): Promise<number> {
    this.#running = false;
    await this.#loop;
    const endAtMs = performance.now() + deadlineMs;
    while (this.#outstanding > 0 && performance.now() < endAtMs) await sleep(tickMs);
    return this.#outstanding;
  }

  async #run(): Promise<void> {
    let startedAtMs = monotonicClock.nowMs();
    while (this.#running && this.#brokenBy === undefined) {
      const nowMs = monotonicClock.nowMs();
      // What was not sent at rest is not made up for.
      if (this.#isResting) startedAtMs = nowMs - this.history.sent / this.#perMs;
      const due = Math.floor((nowMs - startedAtMs) * this.#perMs);
      while (this.history.sent < due && this.#outstanding < outstandingMax) this.#write();
      await sleep(this.#isResting ? restTickMs : tickMs);
    }
  }

  #write(): void {
    const write = this.history.send(monotonicClock.nowMs());
    this.#outstanding += 1;
    this.#client
      .multi()
      .set(slotKey(write % this.history.slotCount), String(write))
      .incr(writesKey)
      .get('lab:counter')
      .exec()
      .then((answers) => this.#acknowledged(write, answers))
      .catch((error: unknown) => {
        this.#brokenBy ??= String(error);
      })
      .finally(() => {
        this.#outstanding -= 1;
      });
  }

  #acknowledged(write: number, [set, count, counter]: unknown[]): void {
    const nowMs = monotonicClock.nowMs();
    if (set !== 'OK' || count !== write) {
      // Writes go in order over one connection: another count means that the store is not ours.
      this.#brokenBy ??= `write ${write} was answered with ${set} and count ${count}`;
      return;
    }
    this.history.acknowledge(write, nowMs, Number(counter));
  }
}
