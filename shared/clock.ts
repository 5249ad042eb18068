/** Time, as an interface, so that state machines and tests never read the machine's clock. */
export interface Clock {
  /** Milliseconds of CLOCK_MONOTONIC: comparable between processes of one machine. */
  nowMs(): number;
}

export const monotonicClock: Clock = {
  nowMs: () => Number(process.hrtime.bigint()) / 1e6,
};
