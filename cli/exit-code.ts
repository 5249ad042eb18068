import { isUnderstudyError } from '../shared/errors.ts';

/** What the exit status says. In docs/OPERATIONS.md. */
export const exitCode = {
  ok: 0,
  /** A check of a drill failed, or an expected failure (`E_…`) ended the command. */
  failed: 1,
  /** The command line or a configuration file is wrong; nothing was started. */
  usage: 2,
  /** A fault in Understudy itself (EX_SOFTWARE of sysexits.h), or a broken installation. */
  internal: 70,
} as const;

export function exitCodeOf(error: unknown): number {
  if (!isUnderstudyError(error)) return exitCode.internal;
  const isRefusal = error.code === 'E_USAGE' || error.code.startsWith('E_CONFIG_');
  return isRefusal ? exitCode.usage : exitCode.failed;
}
