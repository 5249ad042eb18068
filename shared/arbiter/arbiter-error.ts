import { UnderstudyError } from '../errors.ts';

/** Nothing decided, nothing known: the arbiter, or the way to it, does not answer. */
export function arbiterAway(what: string, why: string, cause?: unknown): UnderstudyError {
  return new UnderstudyError('E_ARBITER_AWAY', `the arbiter does not answer (${what}): ${why}`, {
    hint: 'Start NATS with JetStream (most servers of a cluster); asking goes on by itself.',
    fields: { what, why },
    ...(cause === undefined ? {} : { cause }),
  });
}

/** The stream of terms is missing, or is not one that terms are safe in. */
export function streamUnfit(
  stream: string,
  why: string,
  hint: string,
  command: string | null,
): UnderstudyError {
  return new UnderstudyError('E_ARBITER_STREAM', `the stream ${stream}: ${why}`, {
    hint: command === null ? hint : `${hint} ${command}`,
    fields: { stream, why, command },
  });
}

/** What is stored as a term is not a record that this program can believe. */
export function badTermRecord(where: string, why: string, hint: string): UnderstudyError {
  return new UnderstudyError('E_TERM_RECORD', `the record of a term, ${where}: ${why}`, {
    hint,
    fields: { where, why },
  });
}
