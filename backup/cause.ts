import type { BackupEvent } from './machine.ts';

/** An event in words, for the one line that a transition gets. */
export function causeOf(event: BackupEvent): string {
  switch (event.kind) {
    case 'hello':
      return 'a primary asks for a session';
    case 'committed':
      return `epoch ${event.epoch} is whole`;
    case 'peer-silent':
      return 'the primary is silent';
    case 'stood-down':
      return event.reason;
    case 'epoch-failed':
      return event.cause;
    case 'takeover-failed':
      return event.code;
    case 'stop':
      return 'asked to stop';
    default:
      return event.kind.replaceAll('-', ' ');
  }
}
