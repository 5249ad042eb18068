/**
 * Expected failures. Each has a stable `code` for scripts, a sentence that says what went wrong,
 * and a `hint` that says what the operator can do. A broken invariant is not one of these: it is
 * a plain Error and ends the process.
 */

export type ErrorFields = Readonly<Record<string, string | number | boolean | null>>;

export interface ErrorDetails {
  /** What the operator can do about it, as a sentence. */
  readonly hint: string;
  readonly fields?: ErrorFields;
  readonly cause?: unknown;
}

export class UnderstudyError extends Error {
  /** Stable, upper case, for example `E_QMP_TIMEOUT`. Listed in docs/OPERATIONS.md. */
  readonly code: string;
  readonly hint: string;
  readonly fields: ErrorFields;

  constructor(code: string, message: string, details: ErrorDetails) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'UnderstudyError';
    this.code = code;
    this.hint = details.hint;
    this.fields = details.fields ?? {};
  }
}

/** True where `error` is an expected failure, of the given code if one is given. */
export function isUnderstudyError(error: unknown, code?: string): error is UnderstudyError {
  return error instanceof UnderstudyError && (code === undefined || error.code === code);
}

/** The system's error code of a Node error (`ENOENT`, …), or undefined. */
export function systemCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
