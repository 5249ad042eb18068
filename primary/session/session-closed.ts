import { UnderstudyError } from '../../shared/errors.ts';

/** `E_SESSION_CLOSED`: what everything throws that is asked of a session that is over. */
export function sessionClosed(cause: string): UnderstudyError {
  return new UnderstudyError('E_SESSION_CLOSED', `the session is closed: ${cause}`, {
    hint: 'The next session brings the backup level; nothing has to be done.',
  });
}
