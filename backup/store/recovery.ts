import { isUnderstudyError, type UnderstudyError } from '../../shared/errors.ts';
import type { WritableMemory } from '../../shared/memory/guest-memory.ts';
import { DigestTable } from './digest-table.ts';
import type { DiskReplica } from './disk-replica.ts';
import { RamWriter } from './ram-writer.ts';
import { nothingStaged, type ReplicaState } from './replica-state.ts';
import { corrupt, mismatch, ramDamaged } from './store-errors.ts';
import type { StoreFiles } from './store-files.ts';
import type { StoreOptions } from './store-options.ts';

export interface Recovered {
  readonly state: ReplicaState;
  /** Digests of RAM under the session that is held; null where nothing is. */
  readonly table: DigestTable | null;
  /** `E_REPLICA_CORRUPT`: why the store holds nothing although it held something. */
  readonly problem: UnderstudyError | null;
}

/**
 * What an earlier process left, made whole: a sealed journal is written to RAM, again if need
 * be; what was not sealed is dropped. An epoch counts as held only if all of its parts check,
 * RAM by a digest over all of it: state slots take turns, and the older one must not be believed
 * just because the newer one is damaged. Where RAM is known, all of it is older and is dropped.
 * Throws `E_REPLICA_MISMATCH`, with nothing changed.
 */
export async function recover(
  files: StoreFiles,
  { memory, disks, known }: Pick<StoreOptions, 'memory' | 'disks' | 'known'>,
  empty: ReplicaState,
): Promise<Recovered> {
  const { state, problems } = files.found;
  if (state !== null) refuseOther(files.state.path, state, empty);
  const recovered =
    known === undefined
      ? await recoverState(files, memory, empty, disks ?? null)
      : { state: empty, table: await DigestTable.ofKnown(known), problem: null };
  // A slot that is damaged must not be taken for one that a kill cut short the next time.
  const isAsFound = recovered.state === state && problems.length === 0;
  if (recovered.state.phase === 'empty' || !isAsFound) files.state.writeBoth(recovered.state);
  return recovered;
}

function refuseOther(path: string, found: ReplicaState, expected: ReplicaState): void {
  for (const field of ['guest', 'pageCount'] as const) {
    if (found[field] !== expected[field]) {
      throw mismatch(path, field, found[field], expected[field]);
    }
  }
}

async function recoverState(
  files: StoreFiles,
  memory: WritableMemory,
  empty: ReplicaState,
  disks: DiskReplica | null,
): Promise<Recovered> {
  const { state, problems } = files.found;
  try {
    if (state === null) throw corrupt(files.state.path, problems.join(', '));
    switch (state.phase) {
      case 'empty':
      case 'synchronising':
        return { state: empty, table: null, problem: null };
      case 'taken':
      case 'lent':
        return { state, table: null, problem: null };
      case 'redo':
      case 'whole':
        return { ...(await recoverHeld(state, files, memory, disks)), problem: null };
    }
  } catch (error) {
    if (!isUnderstudyError(error, 'E_REPLICA_CORRUPT')) throw error;
    return { state: empty, table: null, problem: error };
  }
}

/** Throws `E_REPLICA_CORRUPT`. */
async function recoverHeld(
  found: ReplicaState,
  files: StoreFiles,
  memory: WritableMemory,
  disks: DiskReplica | null,
): Promise<{ state: ReplicaState; table: DigestTable }> {
  const { checkpoint, settings, device, baseline } = found;
  if (checkpoint === null || settings === null || device === null || baseline === null) {
    throw corrupt(files.state.path, 'a part of the epoch is not named');
  }
  files.device.read(device);
  files.baseline.read(baseline);
  let state = found;
  if (found.phase === 'redo') {
    files.staging.load(found.staged);
    await new RamWriter(memory, files.staging).applyChecked(settings);
    files.staging.clear();
    if (found.disks !== null && disks === null) {
      throw corrupt(files.state.path, 'it names disks that the guest does not have any more');
    }
    await disks?.apply(checkpoint.epoch, found.disks);
    state = { ...found, phase: 'whole', staged: nothingStaged, disks: null };
    files.state.write(state);
  }
  const table = await DigestTable.ofRam(settings, memory);
  if (table.root !== checkpoint.ramDigest) throw ramDamaged(checkpoint, table.root);
  return { state, table };
}
