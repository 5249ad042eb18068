import { isUnderstudyError } from '../shared/errors.ts';
import type { Row } from './row.ts';

/**
 * The rows that `measure` gives; if it fails, a row without a number for each of `ids`, with the
 * reason, so that the rest of a suite is not lost with it.
 */
export async function attempt(
  ids: readonly string[],
  measure: () => Promise<Row[]>,
): Promise<Row[]> {
  try {
    return await measure();
  } catch (error) {
    const notRun = reasonOf(error);
    return ids.map((id) => ({ id, what: id, notRun }));
  }
}

/** One line, with the stable code where there is one. */
export function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const line = message.split('\n')[0]!;
  return isUnderstudyError(error) ? `${error.code}: ${line}` : line;
}
