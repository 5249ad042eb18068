import { type AlarmClock, sleep } from '../../shared/clock.ts';
import type { Guest } from '../../shared/guest/guest.ts';
import type { SpanList } from '../../shared/observe/spans.ts';

export interface GuestBrakeParts {
  readonly guest: Pick<Guest, 'pause' | 'resume'>;
  readonly clock: AlarmClock;
  readonly spans: SpanList;
  /** Looks at the running guest: the share of its time in which it is to stand still. */
  readonly share: () => Promise<number>;
  /** Work that takes less long needs no look. */
  readonly graceMs: number;
}

const periodMs = 20;

/**
 * Slows a guest down while its next checkpoint has to wait: it stands still for a part of every
 * 20 ms. Always leaves it running.
 */
export class GuestBrake {
  readonly #parts: GuestBrakeParts;

  constructor(parts: GuestBrakeParts) {
    this.#parts = parts;
  }

  /** Waits for `work`, which touches no guest, and brakes meanwhile where it takes long. */
  async during(work: Promise<void>): Promise<void> {
    const { clock, graceMs } = this.#parts;
    let isDone = false;
    const settled = work.then(
      () => {
        isDone = true;
      },
      () => {
        isDone = true;
      },
    );
    await this.#either(settled, graceMs);
    while (!isDone) {
      const startedAtMs = clock.nowMs();
      await this.#slice();
      const restMs = periodMs - (clock.nowMs() - startedAtMs);
      if (!isDone) await this.#either(settled, Math.max(1, restMs));
    }
    await work;
  }

  async #slice(): Promise<void> {
    const { guest, clock, spans, share } = this.#parts;
    const still = await share();
    if (still <= 0) return;
    const startedAtMs = clock.nowMs();
    try {
      await guest.pause();
      await sleep(clock, still * periodMs);
    } finally {
      await guest.resume();
      spans.end('brake', startedAtMs);
    }
  }

  async #either(settled: Promise<void>, ms: number): Promise<void> {
    let callOff = () => {};
    const passed = new Promise<void>((resolve) => {
      callOff = this.#parts.clock.after(ms, resolve);
    });
    await Promise.race([settled, passed]);
    callOff();
  }
}
