import type { TimedEvent } from '../shared/observe/events.ts';
import type { Lab } from './lab.ts';
import { isKind } from './measure.ts';
import type { HostName } from './network/lab-network.ts';

/** A host that was to run the guest, and since when at the earliest. */
export interface Turn {
  readonly host: HostName;
  /** When it won its term; 0 for the host that began. */
  readonly sinceMs: number;
}

/** The hosts that were to run the guest, one after the other, by what they recorded themselves. */
export function turnsOf(lab: Pick<Lab, 'events' | 'poll'>): Turn[] {
  lab.poll();
  const turns = (['a', 'b'] as const).flatMap((host) => {
    const events = lab.events(host);
    return events.filter(isKind('takeover')).map(({ atMs, term }) => {
      const won = events.find((event) => event.kind === 'term' && event.term === term);
      return { host, sinceMs: won?.atMs ?? 0, atMs };
    });
  });
  const inOrder = turns.sort((one, other) => one.atMs - other.atMs);
  return [{ host: 'a', sinceMs: 0 }, ...inOrder.map(({ host, sinceMs }) => ({ host, sinceMs }))];
}

export const holdersOf = (lab: Pick<Lab, 'events' | 'poll'>): HostName[] =>
  turnsOf(lab).map(({ host }) => host);

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
