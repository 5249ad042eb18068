import type { PrimaryEvent } from './machine.ts';

/** What heartbeats say of each state. */
export const activityOf = {
  claiming: 'joining',
  joining: 'joining',
  synchronising: 'synchronising',
  enrolling: 'synchronising',
  protected: 'protecting',
  stopped: 'leaving',
} as const;

/** An event in words, for the one line that a transition gets. */
export function causeOf(event: PrimaryEvent): string {
  switch (event.kind) {
    case 'broken':
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
    case 'stop':
      return 'asked to stop';
    default:
      return event.kind.replaceAll('-', ' ');
  }
}
