import { systemCode, UnderstudyError } from '../../shared/errors.ts';
import type { Checkpoint } from './replica-state.ts';

/** What the store throws, each in one place so that code and hint stay together. */

/** A file of the replica does not check: the store then holds nothing. `file` is its path. */
export function corrupt(file: string, why: string, cause?: unknown): UnderstudyError {
  return new UnderstudyError('E_REPLICA_CORRUPT', `${file}: ${why}`, {
    hint:
      'The backup treats itself as holding nothing and is brought level by the primary. ' +
      'If it comes back, test the memory of this host.',
    fields: { file },
    cause,
  });
}

/** RAM is not what was written to it. */
export function ramDamaged(checkpoint: Checkpoint, found: bigint): UnderstudyError {
  const { epoch, ramDigest } = checkpoint;
  return corrupt('guest RAM', `digest ${hex(found)}; epoch ${epoch} has ${hex(ramDigest)}`);
}

/** The folder belongs to another guest, or to one with another memory size. */
export function mismatch(
  file: string,
  field: 'guest' | 'pageCount',
  found: string | number,
  expected: string | number,
): UnderstudyError {
  return new UnderstudyError(
    'E_REPLICA_MISMATCH',
    `${file} is of a replica with ${field} ${found}; expected ${expected}`,
    {
      hint:
        'Give both sides the same guest name and memory size. If the guest was changed on ' +
        "purpose, stop the backup and remove the guest's folder: it will be filled anew.",
      fields: { file, field, found, expected },
    },
  );
}

export function locked(folder: string): UnderstudyError {
  return new UnderstudyError('E_REPLICA_LOCKED', `${folder} is in use by another backup`, {
    hint: 'Only one backup may own a replica: stop the other one or give this one another folder.',
    fields: { folder },
  });
}

export function digestDiffers(epoch: number, expected: bigint, found: bigint): UnderstudyError {
  return new UnderstudyError(
    'E_EPOCH_DIGEST',
    `epoch ${epoch} would give RAM digest ${hex(found)}; the primary's is ${hex(expected)}`,
    {
      hint: 'Nothing was applied. The backup asks the primary for a synchronisation.',
      fields: { epoch, expected: hex(expected), found: hex(found) },
    },
  );
}

export function stagingFull(epoch: number, stagingBytesMax: number): UnderstudyError {
  return new UnderstudyError(
    'E_STAGING_FULL',
    `epoch ${epoch} is larger than the ${stagingBytesMax} bytes that may be staged`,
    {
      hint:
        'The epoch was dropped and the primary synchronises. If this repeats, raise the ' +
        "backup's staging bound or shorten the primary's epochs.",
      fields: { epoch, stagingBytesMax },
    },
  );
}

/** The disks change faster than epochs are committed. */
export function journalFull(epoch: number): UnderstudyError {
  return new UnderstudyError('E_DISK_JOURNAL', `disk changes of epoch ${epoch} have no room`, {
    hint:
      'The epoch was dropped and the primary synchronises. If this repeats, raise ' +
      "staging.diskBytesMax on the backup or shorten the primary's epochs.",
    fields: { epoch },
  });
}

/** The epoch does not build on what is held: only a synchronisation can go on from here. */
export function baseDiffers(
  start: { readonly session: string; readonly epoch: number },
  held: Checkpoint | null,
): UnderstudyError {
  const found = held === null ? 'nothing' : `epoch ${held.epoch} of session ${held.session}`;
  return new UnderstudyError(
    'E_EPOCH_BASE',
    `epoch ${start.epoch} of session ${start.session} does not go on from ${found}`,
    {
      hint: 'The epoch was refused. The backup asks the primary for a synchronisation.',
      fields: {
        epoch: start.epoch,
        session: start.session,
        heldEpoch: held?.epoch ?? null,
        heldSession: held?.session ?? null,
      },
    },
  );
}

export function incomplete(epoch: number, missing: string): UnderstudyError {
  return new UnderstudyError('E_EPOCH_INCOMPLETE', `epoch ${epoch} came without ${missing}`, {
    hint: 'The epoch was dropped. Both sides should run the same version of Understudy.',
    fields: { epoch, missing },
  });
}

export function nothingHeld(): UnderstudyError {
  return new UnderstudyError('E_REPLICA_EMPTY', 'the backup holds no whole epoch of this guest', {
    hint: 'There is nothing to resume here: the guest is where its primary is, or was.',
  });
}

export function taken(): UnderstudyError {
  return new UnderstudyError('E_REPLICA_TAKEN', 'the replica was given to a takeover', {
    hint: 'The guest may run on this RAM: nothing is written to it before it is reclaimed.',
  });
}

/** `error` as the store reports it: a full file system becomes `E_TMPFS_FULL`. */
export function fileError(file: string, error: unknown): unknown {
  if (error instanceof UnderstudyError) return error;
  const code = systemCode(error);
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error;
  return new UnderstudyError('E_TMPFS_FULL', `no space left for ${file}`, {
    hint:
      'Give the tmpfs of the memory folder room for guest RAM, the staging bound and 16 MiB ' +
      '(mount -o remount,size=…), or lower the staging bound.',
    fields: { file },
    cause: error,
  });
}

export const hex = (digest: bigint): string => digest.toString(16).padStart(16, '0');
