import type { AlarmClock, CallOff } from '../../shared/clock.ts';

/** Time that goes on when a test says so; what is due runs in order. */
export class ManualClock implements AlarmClock {
  #nowMs = 0;
  #alarms: { readonly atMs: number; readonly run: () => void }[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  after(ms: number, run: () => void): CallOff {
    const alarm = { atMs: this.#nowMs + ms, run };
    this.#alarms.push(alarm);
    return () => {
      this.#alarms = this.#alarms.filter((one) => one !== alarm);
    };
  }

  every(): CallOff {
    throw new Error('nothing under test repeats');
  }

  soon(run: () => void): void {
    setImmediate(run);
  }

  /** Lets `ms` pass, and promises settle after each alarm. */
  async pass(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    await settle();
    for (;;) {
      const due = this.#alarms.filter(({ atMs }) => atMs <= endMs);
      const next = due.sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined) break;
      this.#alarms = this.#alarms.filter((one) => one !== next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.run();
      await settle();
    }
    this.#nowMs = endMs;
  }
}

const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
