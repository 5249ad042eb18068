import type { AlarmClock, CallOff } from '../../shared/clock.ts';
import type { Timeline } from './timeline.ts';

/** A host's monotonic clock: it has its own zero and pace, and may jump ahead. */
export class HostClock {
  readonly #timeline: Timeline;
  readonly pace: number;
  #aheadMs: number;

  constructor(timeline: Timeline, pace: number, aheadMs: number) {
    this.#timeline = timeline;
    this.pace = pace;
    this.#aheadMs = aheadMs;
  }

  nowMs(): number {
    return this.#timeline.nowMs * this.pace + this.#aheadMs;
  }

  jump(ms: number): void {
    this.#aheadMs += ms;
  }
}

/**
 * One event loop of a process: its timers, and what comes to it from outside. It can stand still,
 * and then all that fell due happens when it goes on: timers first, as Node does, then the rest.
 */
export class Thread implements AlarmClock {
  readonly #timeline: Timeline;
  readonly #clock: HostClock;
  #alive = true;
  #standsStill = false;
  #dueTimers: (() => void)[] = [];
  #dueInput: (() => void)[] = [];

  constructor(timeline: Timeline, clock: HostClock) {
    this.#timeline = timeline;
    this.#clock = clock;
  }

  get alive(): boolean {
    return this.#alive;
  }

  nowMs(): number {
    return this.#clock.nowMs();
  }

  after(ms: number, run: () => void): CallOff {
    // Node rounds a timer up to a millisecond.
    return this.#plan(Math.max(1, ms) / this.#clock.pace, run);
  }

  every(ms: number, run: () => void): CallOff {
    let callOff: CallOff = () => {};
    let stopped = false;
    const again = () => {
      callOff = this.after(ms, () => {
        run();
        if (!stopped) again();
      });
    };
    again();
    return () => {
      stopped = true;
      callOff();
    };
  }

  soon(run: () => void): void {
    this.#plan(0, run);
  }

  /** Something comes from outside, in `ms`. */
  input(ms: number, run: () => void): void {
    this.#timeline.after(ms, () => this.inputNow(run));
  }

  inputNow(run: () => void): void {
    if (!this.#alive) return;
    if (this.#standsStill) this.#dueInput.push(run);
    else run();
  }

  /** Outside of it something takes `ms`; then it goes on here. */
  wait(ms: number): Promise<void> {
    return new Promise((resolve) => this.input(ms, resolve));
  }

  standStill(): void {
    this.#standsStill = true;
  }

  goOn(): void {
    if (!this.#standsStill) return;
    this.#standsStill = false;
    const due = [...this.#dueTimers, ...this.#dueInput];
    this.#dueTimers = [];
    this.#dueInput = [];
    for (const run of due) this.input(0, run);
  }

  end(): void {
    this.#alive = false;
    this.#dueTimers = [];
    this.#dueInput = [];
  }

  #plan(ms: number, run: () => void): CallOff {
    let calledOff = false;
    const due = () => {
      if (!this.#alive || calledOff) return;
      if (this.#standsStill) this.#dueTimers.push(due);
      else run();
    };
    const forget = this.#timeline.after(ms, due);
    return () => {
      calledOff = true;
      forget();
    };
  }
}
