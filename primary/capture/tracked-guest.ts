import { UnderstudyError } from '../../shared/errors.ts';
import type { GuestMemory } from '../../shared/memory/guest-memory.ts';
import { fileMappings, type MappedRange } from '../../shared/native/memory-map.ts';
import type { TrackerKind } from './tracker.ts';

/** What the trackers need to know of a guest whose RAM is a file that QEMU has mapped. */
export interface TrackedGuest {
  readonly pid: number;
  readonly ramPath: string;
  readonly memory: GuestMemory;
  /** What the memory shim wrote when QEMU mapped the RAM; absent without the shim. */
  readonly shimStatusPath: string;
}

/**
 * QEMU's mappings of the whole RAM, by page. Throws `E_TRACKER_UNAVAILABLE` where some of RAM is
 * not mapped or the process can't be looked at.
 */
export function ramMappings(guest: TrackedGuest, kind: TrackerKind): readonly MappedRange[] {
  let found: readonly MappedRange[];
  try {
    found = fileMappings(guest.pid, guest.ramPath).filter((range) => range.shared);
  } catch (cause) {
    const reason = `the memory map of process ${guest.pid} can't be read`;
    throw unavailable(kind, reason, 'Run the agent as root, or as the user that runs QEMU.', cause);
  }
  let covered = 0;
  for (const range of found) {
    if (range.fileOffset > covered) break;
    covered = Math.max(covered, range.fileOffset + (range.end - range.start));
  }
  if (covered >= guest.memory.pageCount * 4096) return found;
  const reason = `process ${guest.pid} has not mapped all of ${guest.ramPath}`;
  throw unavailable(kind, reason, 'See that QEMU runs with this memory file.');
}

export function unavailable(
  tracker: TrackerKind,
  reason: string,
  hint: string,
  cause?: unknown,
): UnderstudyError {
  return new UnderstudyError('E_TRACKER_UNAVAILABLE', `${tracker} can't be used: ${reason}`, {
    hint,
    fields: { tracker, reason },
    cause,
  });
}

/** The process ended or its memory changed while it was tracked. */
export function lost(tracker: TrackerKind, cause: unknown): UnderstudyError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new UnderstudyError('E_TRACKER_LOST', `${tracker} lost the guest's memory: ${reason}`, {
    hint: 'The guest’s QEMU has ended, or was replaced: start or adopt it again.',
    fields: { tracker, reason },
    cause,
  });
}
