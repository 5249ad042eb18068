import { isUnderstudyError, UnderstudyError } from '../../shared/errors.ts';
import type { Epoch } from '../../shared/ids.ts';
import type { DiskReplica } from './disk-replica.ts';
import type { IncomingEpoch } from './incoming-epoch.ts';
import type { ReplicaRecord } from './replica-record.ts';
import type { DiskReference } from './replica-state.ts';
import { incomplete, journalFull } from './store-errors.ts';
import { TimedTurns } from './turns.ts';

/** What the store does with the guest's disks, if it has any: where changes wait, and until when. */
export class DiskStage {
  readonly #disks: DiskReplica | null;
  readonly #record: ReplicaRecord;
  /** Of frames that wait already one is taken after the other, without the event loop. */
  readonly #turns = new TimedTurns();

  /** Journals that the record in force does not seal are dropped. */
  constructor(disks: DiskReplica | null, record: ReplicaRecord) {
    this.#disks = disks;
    this.#record = record;
    this.drop();
  }

  /**
   * Takes the body of a DISK frame of `epoch`, which may be one that has not begun. Of a first
   * epoch it goes to the disks at once where nothing is held, or no more can wait: what was held
   * is then given up. Throws `E_DISK_JOURNAL`, `E_DISK_IO`, `E_FRAME_CORRUPT`.
   */
  async add(epoch: Epoch, body: Uint8Array): Promise<void> {
    this.#record.refuseIfTaken();
    const disks = this.#disks;
    if (disks === null) throw noDisks();
    const isFull = disks.isFull(body.byteLength);
    if (epoch === 1 && (this.#record.held === null || isFull)) {
      if (this.#record.state.phase !== 'synchronising') this.#record.lowerTo('synchronising');
      await disks.goInPlace(epoch);
    } else if (isFull) {
      throw journalFull(epoch);
    }
    disks.add(epoch, body);
    await this.#turns.after();
  }

  /** RAM of the epoch is written in place: so is what waits for the disks. */
  async goInPlace(epoch: Epoch): Promise<void> {
    await this.#disks?.goInPlace(epoch);
  }

  /** The journal that is to be sealed with the epoch; null where none is. */
  reference({ start, diskSeal }: IncomingEpoch): DiskReference | null {
    if (this.#disks === null) return null;
    if (diskSeal === null) throw incomplete(start.epoch, 'a seal of its disk changes');
    return this.#disks.reference(start.epoch, diskSeal);
  }

  /** Writes the sealed journal to the disks. One that is damaged makes what is held worthless. */
  async apply(): Promise<void> {
    const { checkpoint, disks } = this.#record.state;
    try {
      await this.#disks?.apply(checkpoint!.epoch, disks);
    } catch (error) {
      if (isUnderstudyError(error, 'E_REPLICA_CORRUPT')) this.#record.lowerTo('empty');
      throw error;
    }
  }

  /** The record does not name the journal of `epoch` any more. */
  applied(epoch: Epoch): void {
    this.#disks?.applied(epoch);
  }

  /** Drops every journal but the sealed one. */
  drop(): void {
    const { phase, checkpoint } = this.#record.state;
    this.#disks?.dropAllBut(phase === 'redo' ? checkpoint!.epoch : null);
  }

  close(): void {
    this.#disks?.close();
  }
}

function noDisks(): UnderstudyError {
  const message = 'changes of disks came, and this guest has no replicated disk here';
  return new UnderstudyError('E_EPOCH_CORRUPT', message, {
    hint: 'Make the guest section of both configuration files describe the same machine.',
  });
}
