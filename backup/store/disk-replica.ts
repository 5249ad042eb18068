import { mkdirSync } from 'node:fs';
import { EpochDigest } from '../../shared/codec/digest.ts';
import type { DiskImage } from '../../shared/disk/disk-image.ts';
import { isUnderstudyError, systemCode, UnderstudyError } from '../../shared/errors.ts';
import type { Epoch } from '../../shared/ids.ts';
import { type DiskChange, type DiskSeal, diskChanges } from '../../shared/wire/disk-body.ts';
import { type DiskJournal, DiskJournals } from './disk-journals.ts';
import { journalRoomBytes, ProvenJournal } from './proven-journal.ts';
import type { DiskReference } from './replica-state.ts';
import { corrupt } from './store-errors.ts';
import { TimedTurns } from './turns.ts';

export interface DiskReplicaOptions {
  /** For journals alone, on a disk of the host. Made if need be. */
  readonly folder: string;
  /** In the order of the guest's disks. The store is the only writer of them. */
  readonly images: readonly DiskImage[];
  /** Most bytes that wait in journals. */
  readonly journalBytesMax: number;
  /** Called before images are changed: in place, by a synchronisation, or by a sealed journal. */
  readonly willChange?: (inPlace: boolean) => Promise<void>;
}

/** What came of one epoch. */
interface Changes {
  /** Undefined where they went to the disks at once. */
  readonly journal: DiskJournal | undefined;
  readonly digest: EpochDigest;
  /** Bytes of bodies, and how many they are. */
  bytes: number;
  frameCount: number;
}

/**
 * The backup's copies of the guest's disks. Changes of an epoch that is not committed wait in a
 * journal; nothing of it is kept in memory. The store's state record seals a journal together with the
 * epoch's RAM; it is then written to the disks, again by the next process if need be: written
 * twice it gives the same. A journal that no record names is dropped.
 */
export class DiskReplica {
  readonly #options: DiskReplicaOptions;
  readonly #sizes: readonly number[];
  readonly #journals: DiskJournals;
  readonly #changes = new Map<Epoch, Changes>();
  /** Changes of this epoch go to the disks at once: nothing whole is held meanwhile. */
  #inPlace: Epoch | null = null;
  /** For the journal that is read; undefined while one is. The system gives it as it is used. */
  #room: Uint8Array | undefined;

  constructor(options: DiskReplicaOptions) {
    this.#options = options;
    this.#sizes = options.images.map((image) => image.sizeBytes);
    mkdirSync(options.folder, { recursive: true, mode: 0o700 });
    this.#journals = new DiskJournals(options.folder, options.journalBytesMax);
  }

  /** True where journals have no room for a body of so many bytes. */
  isFull(bytes: number): boolean {
    return this.#journals.waitingBytes + bytes > this.#options.journalBytesMax;
  }

  /**
   * Takes the body of a DISK frame. Throws `E_FRAME_CORRUPT` with nothing taken,
   * `E_DISK_JOURNAL` where it can't be written, `E_DISK_IO`.
   */
  add(epoch: Epoch, body: Uint8Array): void {
    const changes = [...diskChanges(body, this.#sizes)];
    const found = this.#changes.get(epoch) ?? this.#begin(epoch);
    if (found.journal === undefined) for (const change of changes) this.#write(change);
    else this.#journals.add(found.journal, body);
    found.digest.update(body);
    found.bytes += body.byteLength;
    found.frameCount += 1;
  }

  /** From now on changes of `epoch` go to the disks at once, and those that wait go ahead. */
  async goInPlace(epoch: Epoch): Promise<void> {
    if (this.#inPlace === epoch) return;
    await this.#options.willChange?.(true);
    this.#inPlace = epoch;
    const found = this.#changes.get(epoch);
    if (found?.journal === undefined) return;
    await this.#writeOut(epoch, { bytes: found.bytes, digest: found.digest.value() }, true);
    this.#journals.end(epoch);
    this.#changes.set(epoch, { ...found, journal: undefined });
  }

  /**
   * What the state record has to name for `epoch`; null where nothing is to be written to disks.
   * Throws `E_EPOCH_CORRUPT` where what came is not what the primary sealed.
   */
  reference(epoch: Epoch, seal: DiskSeal): DiskReference | null {
    const changes = this.#changes.get(epoch);
    const found = changes ?? { bytes: 0, frameCount: 0, digest: new EpochDigest() };
    const { bytes, frameCount } = found;
    const digest = found.digest.value();
    if (bytes !== seal.bytes || frameCount !== seal.frameCount || digest !== seal.digest) {
      throw new UnderstudyError(
        'E_EPOCH_CORRUPT',
        `epoch ${epoch} came with ${bytes} bytes of disk changes; its seal says ${seal.bytes}`,
        { hint: 'The session is closed and the backup synchronised again; nothing was applied.' },
      );
    }
    return changes?.journal === undefined ? null : { bytes, digest };
  }

  /**
   * Writes a sealed journal to the disks. The event loop turns. Throws `E_REPLICA_CORRUPT` where the
   * journal is not what `reference` says, before anything is written; `E_DISK_IO`.
   */
  async apply(epoch: Epoch, reference: DiskReference | null): Promise<void> {
    if (reference !== null) await this.#writeOut(epoch, reference, false);
  }

  /** `epoch` is applied and the record says so: its journal may go. */
  applied(epoch: Epoch): void {
    if (this.#inPlace === epoch) this.#inPlace = null;
    this.#changes.delete(epoch);
    this.#journals.end(epoch);
  }

  /** Drops the journals of all epochs but a sealed one, also those of an earlier process. */
  dropAllBut(sealed: Epoch | null): void {
    this.#inPlace = null;
    for (const epoch of this.#changes.keys()) if (epoch !== sealed) this.#changes.delete(epoch);
    this.#journals.endAllBut(sealed);
  }

  close(): void {
    this.#journals.close();
    this.#changes.clear();
    for (const image of this.#options.images) image.close();
  }

  #begin(epoch: Epoch): Changes {
    const journal = this.#inPlace === epoch ? undefined : this.#journals.begin(epoch);
    const changes = { journal, digest: new EpochDigest(), bytes: 0, frameCount: 0 };
    this.#changes.set(epoch, changes);
    return changes;
  }

  /** Nothing of a journal reaches a disk before all of it was found to be what was sealed. */
  async #writeOut(epoch: Epoch, reference: DiskReference, inPlace: boolean): Promise<void> {
    const room = this.#room ?? new Uint8Array(journalRoomBytes);
    this.#room = undefined;
    try {
      await this.#writeProven(epoch, reference, inPlace, room);
    } finally {
      this.#room = room;
    }
  }

  async #writeProven(
    epoch: Epoch,
    reference: DiskReference,
    inPlace: boolean,
    room: Uint8Array,
  ): Promise<void> {
    const turns = new TimedTurns();
    const path = this.#journals.path(epoch);
    const journal = await ProvenJournal.read(path, reference, { room, turns });
    try {
      await this.#options.willChange?.(inPlace);
      for (const body of journal.bodies()) {
        for (const change of this.#changesIn(body, epoch)) {
          this.#write(change);
          await turns.after();
        }
      }
    } finally {
      journal.close();
    }
  }

  /** A record that makes no sense was damaged where it lay: its frame was looked at. */
  *#changesIn(body: Uint8Array, epoch: Epoch): Generator<DiskChange> {
    try {
      yield* diskChanges(body, this.#sizes);
    } catch (error) {
      if (!isUnderstudyError(error, 'E_FRAME_CORRUPT')) throw error;
      throw corrupt(this.#journals.path(epoch), 'a change in it makes no sense', error);
    }
  }

  #write({ disk, offset, length, data }: DiskChange): void {
    const image = this.#options.images[disk]!;
    try {
      if (data === undefined) image.zero(offset, length, true);
      else image.write(offset, data);
    } catch (error) {
      throw diskError(image.path, error);
    }
  }
}

function diskError(path: string, error: unknown): unknown {
  const code = systemCode(error);
  if (code === undefined) return error;
  return new UnderstudyError('E_DISK_IO', `this host's replica ${path} can't be written: ${code}`, {
    hint: 'Give its file system room, or mend the disk; what is sealed is written when it can be.',
    fields: { path, code },
    cause: error,
  });
}
