import { isUnderstudyError, type UnderstudyError } from '../../shared/errors.ts';
import { ScanTracker } from './scan.ts';
import type { ScannedRam } from './scan-threads.ts';
import { SoftDirtyTracker } from './soft-dirty.ts';
import type { TrackedGuest } from './tracked-guest.ts';
import type { DirtyTracker } from './tracker.ts';
import { WriteProtectTracker } from './write-protect.ts';

export type AskedTracker = 'auto' | 'write-protect' | 'soft-dirty' | 'scan';

export interface TrackerChoice {
  readonly tracker: DirtyTracker;
  /** One sentence for the log. */
  readonly why: string;
}

/**
 * The tracker that was asked for, or with `auto` the first that works here, cheapest first.
 * Throws `E_TRACKER_UNAVAILABLE` where the one asked for can't run; `auto` always finds one.
 */
export function chooseTracker(
  asked: AskedTracker,
  guest: TrackedGuest,
  scan: Pick<ScannedRam, 'hash' | 'threads'>,
): TrackerChoice {
  const { pageCount } = guest.memory;
  const open = {
    'write-protect': () => WriteProtectTracker.open(guest),
    'soft-dirty': () => SoftDirtyTracker.open(guest),
    scan: () => new ScanTracker({ path: guest.ramPath, pageCount, ...scan }),
  };
  if (asked !== 'auto') return { tracker: open[asked](), why: `${asked} was asked for` };
  const refused: UnderstudyError[] = [];
  for (const kind of ['write-protect', 'soft-dirty'] as const) {
    try {
      return { tracker: open[kind](), why: because(kind, refused) };
    } catch (error) {
      if (!isUnderstudyError(error, 'E_TRACKER_UNAVAILABLE')) throw error;
      refused.push(error);
    }
  }
  return { tracker: open.scan(), why: because('scan', refused) };
}

function because(kind: DirtyTracker['kind'], refused: readonly UnderstudyError[]): string {
  if (refused.length === 0) return `${kind} is the cheapest and works here`;
  return `${kind} is used, because ${refused.map((error) => error.message).join(', and ')}`;
}
