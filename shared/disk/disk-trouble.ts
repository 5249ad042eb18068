import { systemCode, UnderstudyError } from '../errors.ts';
import type { PlainError } from './disk-control.ts';

/** What the host failed of a disk: for the guest, or what an agent did for itself. */
export type Trouble = 'reading' | 'writing' | 'syncing' | 'own syncing';

export const diskHint = 'See the state of the disk and its file system on this host.';

/**
 * What an operator is told of an image at `path`; undefined where it was no failure of the host.
 * `runsHere`: the guest does.
 */
export function troubleOf({
  path,
  what,
  error,
  runsHere,
}: {
  readonly path: string;
  readonly what: Trouble;
  readonly error: unknown;
  readonly runsHere: boolean;
}): PlainError | undefined {
  const code = systemCode(error);
  if (code === undefined) return undefined;
  if (error instanceof UnderstudyError) {
    const message = `${error.message}; ${what} ${path} was refused for the guest, which was told: EIO`;
    return { code, message, hint: error.hint };
  }
  if (what !== 'own syncing') {
    const message = `${what} ${path} failed for the guest, which was told: ${code}`;
    return { code: 'E_DISK_IO', message, hint: diskHint };
  }
  if (runsHere) {
    const message = `syncing ${path} failed for this agent: ${code}; the guest's next FLUSH is told`;
    return { code: 'E_DISK_IO', message, hint: diskHint };
  }
  return {
    code: 'E_DISK_IO',
    message: `syncing this host's replica ${path} failed: ${code}; its guest is not concerned`,
    hint:
      'Mend the disk or its file system, then run `understudy verify GUEST`: the replica may lack ' +
      'what this host failed to sync.',
  };
}
