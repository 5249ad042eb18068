import { UnderstudyError } from '../shared/errors.ts';
import type { PrimaryEvent, PrimaryState } from './machine.ts';

/** What heartbeats say of each state. */
export const activityOf = {
  claiming: 'joining',
  joining: 'joining',
  synchronising: 'synchronising',
  enrolling: 'synchronising',
  protected: 'protecting',
  paused: 'solo',
  'handing-over': 'leaving',
  stopped: 'leaving',
} as const;

/** Why `event` led to the state `to`, for the one line that a transition gets. */
export function causeOf(event: PrimaryEvent, to: PrimaryState): string {
  if (to.name === 'handing-over') return 'an operator hands the guest over to the backup';
  return 'waits' in to ? `${inWords(event)}; the guest waits` : inWords(event);
}

function inWords(event: PrimaryEvent): string {
  switch (event.kind) {
    case 'broken':
    case 'handover-failed':
      return event.cause;
    case 'guest-ended':
    case 'guest-lost':
      return event.reason;
    case 'refused':
      return event.message;
    case 'superseded':
      return event.by;
    case 'welcomed':
      return 'a backup answered';
    case 'synchronised':
      return `the backup holds epoch ${event.epoch}`;
    case 'pause':
      return 'the operator pauses';
    case 'resume':
      return 'the operator resumes';
    case 'term-won':
      return `term won: ${event.mode}`;
    case 'go-on':
      return 'the operator lets the guest go on';
    case 'stop':
      return 'asked to stop';
    default:
      return event.kind.replaceAll('-', ' ');
  }
}

/** The policy `stop` at work: an operator has to know why a service stands still. */
export function guestWaits(guest: string): UnderstudyError {
  return new UnderstudyError('E_GUEST_WAITS', `guest ${guest} stands still: its backup is lost`, {
    hint:
      'It goes on once a backup is level with it (output.onBackupLost is `stop`), ' +
      'or as soon as `understudy go-on` lets it run without one.',
  });
}
