import { UnderstudyError } from '../errors.ts';

/** A body whose checksum holds and whose content makes no sense: `E_FRAME_CORRUPT`. */
export function corruptBody(message: string): UnderstudyError {
  return new UnderstudyError('E_FRAME_CORRUPT', message, {
    hint: 'The other side sent what this release does not understand; run the same on both.',
  });
}
