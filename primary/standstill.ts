import type { AlarmClock } from '../shared/clock.ts';

/** Half of the shortest sensible heartbeat limit: sooner nobody can have taken over. */
const standstillMs = 100;

/**
 * Notices when this process stood still (SIGSTOP, a host that was suspended): its timers come late
 * by what the clock went on. Returns how to stop watching.
 */
export function watchForStandstill(clock: AlarmClock, onStandstill: () => void): () => void {
  let lastMs = clock.nowMs();
  return clock.every(standstillMs / 4, () => {
    const nowMs = clock.nowMs();
    if (nowMs - lastMs > standstillMs) onStandstill();
    lastMs = nowMs;
  });
}
