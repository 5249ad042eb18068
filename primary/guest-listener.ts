import { isUnderstudyError, type UnderstudyError } from '../shared/errors.ts';
import type { Guest } from '../shared/guest/guest.ts';
import type { EmitEvent } from '../shared/observe/events.ts';
import type { PrimaryEvent } from './machine.ts';

export interface GuestListener {
  readonly pid: number;
  readonly emit: EmitEvent;
  post(event: PrimaryEvent): void;
  /** RAM blocks outside the RAM file may have changed. */
  onReset(): void;
}

/** Tells what happens to the guest. Returns how to stop listening. */
export function listenToGuest(guest: Guest, { pid, emit, post, onReset }: GuestListener) {
  return guest.onEvent((event) => {
    emit({ kind: 'guest', change: event.kind, pid });
    switch (event.kind) {
      case 'reset':
        onReset();
        return;
      case 'shutdown': {
        const reason = event.byGuest ? 'it powered off' : 'it was asked to power off';
        post({ kind: 'guest-ended', reason });
        return;
      }
      case 'gone':
        post({ kind: 'guest-lost', reason: event.reason });
        return;
      default:
    }
  });
}

/** A call failed because there is no guest any more; the event that says so is on its way. */
export const saysGuestIsGone = (error: unknown): boolean =>
  isUnderstudyError(error, 'E_QEMU_EXITED') || isUnderstudyError(error, 'E_GUEST_GONE');

/**
 * Whether `error`, of a task with `guest`, means that QEMU has ended. That is told by an event of
 * its own and is no broken session: a solo term, claimed for a guest that is no more, would keep
 * the backup from resuming it.
 */
export async function isDeathOf(guest: Guest, error: UnderstudyError): Promise<boolean> {
  if (saysGuestIsGone(error)) return true;
  if (error.code !== 'E_TRACKER_LOST' && error.code !== 'E_QMP_CLOSED') return false;
  return await guest.resume().then(() => false, saysGuestIsGone);
}
