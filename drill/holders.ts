import type { TimedEvent } from '../shared/observe/events.ts';
import type { Lab } from './lab.ts';
import { isKind } from './measure.ts';
import type { HostName } from './network/lab-network.ts';

/** The hosts that were to run the guest, one after the other, by what they recorded themselves. */
export function holdersOf(lab: Pick<Lab, 'events' | 'poll'>): HostName[] {
  lab.poll();
  const takeovers = (['a', 'b'] as const).flatMap((host) =>
    lab
      .events(host)
      .filter(isKind('takeover'))
      .map(({ atMs }) => ({ host, atMs })),
  );
  const inOrder = takeovers.sort((one, other) => one.atMs - other.atMs);
  return ['a', ...inOrder.map(({ host }) => host)];
}

/** True where the host's guest is protected, and an epoch was acknowledged since `sinceMs`. */
export function isProtectedSince(events: readonly TimedEvent[], sinceMs: number): boolean {
  const state = events.findLast((event) => event.kind === 'state');
  const ack = events.findLast(isKind('ack'));
  return (
    state?.kind === 'state' &&
    state.role === 'primary' &&
    state.to === 'protected' &&
    ack !== undefined &&
    ack.atMs > sinceMs
  );
}
