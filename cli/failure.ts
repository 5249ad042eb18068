import { ConfigError } from '../shared/config/problem.ts';
import { isUnderstudyError } from '../shared/errors.ts';

/**
 * What is written, once, about the error that ends the command: for people the message and what
 * to do, otherwise one line of JSON with the same and the fields. An error that is not an
 * expected one comes with its stack: it is a fault in Understudy.
 */
export function describeFailure(error: unknown, isForPeople: boolean): string {
  return isForPeople ? forPeople(error) : JSON.stringify(forScripts(error));
}

const internalHint = 'this is a fault in Understudy: report it with these lines';

function forPeople(error: unknown): string {
  if (!isUnderstudyError(error))
    return `error E_INTERNAL: ${stackOf(error)}\nhint: ${internalHint}`;
  const causes = causesOf(error).map((cause) => `cause: ${cause}`);
  return [`error ${error.code}: ${error.message}`, ...causes, `hint: ${error.hint}`].join('\n');
}

function forScripts(error: unknown): Readonly<Record<string, unknown>> {
  const base = { level: 'error', time: new Date().toISOString(), event: 'failure' };
  if (!isUnderstudyError(error)) {
    const message = error instanceof Error ? error.message : String(error);
    const stack = stackOf(error);
    return { ...base, code: 'E_INTERNAL', message, hint: internalHint, stack };
  }
  const { code, message, hint, fields } = error;
  const causes = causesOf(error);
  return {
    ...base,
    code,
    message,
    hint,
    ...(causes.length > 0 ? { causes } : {}),
    ...(Object.keys(fields).length > 0 ? { fields } : {}),
    ...(error instanceof ConfigError ? { problems: error.problems } : {}),
  };
}

/** Messages of the errors behind `error`, nearest first, without what was said already. */
function causesOf(error: Error): string[] {
  const causes: string[] = [];
  let depth = 0;
  let cause = error.cause;
  while (cause instanceof Error && depth++ < 8) {
    const { message } = cause;
    const isSaid = [error.message, ...causes].some((said) => said.includes(message));
    if (!isSaid) causes.push(message);
    cause = cause.cause;
  }
  return causes;
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return `something that is no error was thrown: ${String(error)}`;
  const causes = causesOf(error).map((cause) => `\ncause: ${cause}`);
  return `${error.stack ?? error.message}${causes.join('')}`;
}
