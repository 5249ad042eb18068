import { bounds } from '../bounds.ts';
import { monotonicClock, sleep } from '../clock.ts';

/**
 * To be waited for by a host between two roles: a guest that has just moved finds every cache cold.
 * It has all that it needs, its clients wait, and nothing that comes next is for them. An agent
 * that is to end does so now.
 */
export async function letClientsBeServed(stop: AbortSignal): Promise<void> {
  await sleep(monotonicClock, bounds.calmAfterTakeoverMs, stop).catch(() => {});
}
