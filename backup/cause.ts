import type { BackupEvent } from './machine.ts';

/** What heartbeats say of each state. */
export const activityOf = {
  waiting: 'standing-by',
  expecting: 'standing-by',
  synchronising: 'synchronising',
  protecting: 'protecting',
  'taking-over': 'taking-over',
} as const;

/** An event in words, for the one line that a transition gets. */
export function causeOf(event: BackupEvent): string {
  switch (event.kind) {
    case 'hello':
      return 'a primary asks for a session';
    case 'committed':
      return `epoch ${event.epoch} is whole`;
    case 'peer-silent':
      return 'the primary is silent';
    case 'hand-over':
      return `the primary hands the guest over at epoch ${event.epoch}`;
    case 'epoch-found':
      return 'an earlier agent of this host held the newest epoch';
    case 'term-held':
      return 'an earlier agent of this host won the term';
    case 'stood-down':
      return event.reason;
    case 'epoch-failed':
      return event.cause;
    case 'takeover-failed':
    case 'prepare-failed':
      return event.code;
    case 'claim-lost':
      return `host ${event.holder} holds the next term`;
    case 'stop':
      return 'asked to stop';
    default:
      return event.kind.replaceAll('-', ' ');
  }
}
