/** Time, as an interface, so that state machines and tests never read the machine's clock. */
export interface Clock {
  /** Milliseconds of CLOCK_MONOTONIC: comparable between processes of one machine. */
  nowMs(): number;
}

/** A clock that also wakes. All waiting of the agents goes through one, so it can be simulated. */
export interface AlarmClock extends Clock {
  /** Runs `run` once, `ms` from now. Returns how to call it off. */
  after(ms: number, run: () => void): CallOff;
  /** Runs `run` every `ms`, late ones not made up for. Returns how to call it off. */
  every(ms: number, run: () => void): CallOff;
  /** Runs `run` once the event loop has turned: sockets and signals get their turn before. */
  soon(run: () => void): void;
}

export type CallOff = () => void;

export const monotonicClock: AlarmClock = {
  nowMs: () => Number(process.hrtime.bigint()) / 1e6,
  after: (ms, run) => {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
  every: (ms, run) => {
    const timer = setInterval(run, ms);
    return () => clearInterval(timer);
  },
  soon: (run) => {
    setImmediate(run);
  },
};

/** Lets the event loop turn once. */
export async function turn(clock: AlarmClock): Promise<void> {
  await new Promise<void>((resolve) => clock.soon(resolve));
}

/** Waits for `ms`. Throws what `signal` was or is aborted with. */
export async function sleep(clock: AlarmClock, ms: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    const wake = () => {
      signal?.removeEventListener('abort', giveUp);
      resolve();
    };
    const giveUp = () => {
      callOff();
      reject(signal?.reason);
    };
    const callOff = clock.after(ms, wake);
    signal?.addEventListener('abort', giveUp, { once: true });
  });
}
