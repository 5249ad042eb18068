import type { TimedEvent } from '../shared/observe/events.ts';
import type { Check } from './check.ts';
import { type EventOf, isKind } from './measure.ts';

/** Judges a takeover by what the primary had recorded about it before it died. */

/** The primary's own record of the resumed epoch: of this session, and the last such. */
export function findCheckpoint(events: readonly TimedEvent[], takeover: EventOf<'takeover'>) {
  const start = events.findIndex(
    (event) => event.kind === 'sync' && event.session === takeover.session,
  );
  if (start < 0) return undefined;
  return events
    .slice(start)
    .filter(isKind('epoch'))
    .find(({ epoch }) => epoch === takeover.epoch);
}

export function checkRam(
  checkpoint: EventOf<'epoch'> | undefined,
  takeover: EventOf<'takeover'>,
): Check {
  const recorded = checkpoint?.ramDigest ?? null;
  const found = takeover.ramDigestFound;
  return {
    name: 'ram-verified',
    ok: recorded !== null && found === recorded,
    detail:
      `RAM of epoch ${takeover.epoch}: digest ${found ?? 'not computed'} on the backup before ` +
      `the guest ran on, ${recorded ?? 'not recorded'} on the primary at the checkpoint`,
  };
}

/** What was acknowledged stays: an older epoch would take back what clients were told. */
export function checkEpoch(
  events: readonly TimedEvent[],
  takeover: EventOf<'takeover'>,
  checkpoint: EventOf<'epoch'> | undefined,
): Check {
  const start = events.findLastIndex((event) => event.kind === 'sync');
  const acked = events
    .slice(start + 1)
    .filter(isKind('ack'))
    .reduce((last, { epoch }) => Math.max(last, epoch), 0);
  return {
    name: 'resumes-last-acknowledged',
    ok: checkpoint !== undefined && takeover.epoch >= acked && acked > 0,
    detail:
      `resumed epoch ${takeover.epoch}, last acknowledged to the primary ${acked}` +
      (checkpoint === undefined ? '; the primary has no record of the resumed epoch' : ''),
  };
}
