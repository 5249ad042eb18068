import { type ErrorFields, UnderstudyError } from '../shared/errors.ts';

/** A step of a drill that did not come about: `E_DRILL_STEP`. */
export function stepError(message: string, fields: ErrorFields = {}, cause?: unknown) {
  return new UnderstudyError('E_DRILL_STEP', message, {
    hint: 'The last lines of the logs follow; the run folder holds all of them.',
    fields,
    ...(cause === undefined ? {} : { cause }),
  });
}
