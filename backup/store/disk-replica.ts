import { closeSync, existsSync, mkdirSync, openSync, readdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { EpochDigest } from '../../shared/codec/digest.ts';
import type { DiskImage } from '../../shared/disk/disk-image.ts';
import { systemCode, UnderstudyError } from '../../shared/errors.ts';
import type { Epoch } from '../../shared/ids.ts';
import { type DiskChange, type DiskSeal, diskChanges } from '../../shared/wire/disk-body.ts';
import { readFully, writeFully } from './alternating-file.ts';
import type { DiskReference } from './replica-state.ts';
import { corrupt } from './store-errors.ts';
import { Turns } from './turns.ts';

export interface DiskReplicaOptions {
  /** For journals alone, on a disk of the host. Made if need be. */
  readonly folder: string;
  /** In the order of the guest's disks. The store is the only writer of them. */
  readonly images: readonly DiskImage[];
  /** Most bytes that wait in journals. */
  readonly journalBytesMax: number;
  /** What is known of the images by what this host changed itself does not hold from then on. */
  readonly beforeFirstChange?: () => Promise<void>;
}

interface Journal {
  /** Undefined where its changes went to the disks at once. */
  readonly file: { readonly path: string; readonly descriptor: number } | undefined;
  readonly digest: EpochDigest;
  /** Bytes of bodies, and how many they are. */
  bytes: number;
  frameCount: number;
  fileBytes: number;
}

/**
 * The backup's copies of the guest's disks. Changes of an epoch that is not committed wait in a
 * journal, one file an epoch:
 *
 *   u32 length · body of a DISK frame         (repeated)
 *
 * Nothing of it is kept in memory. The store's state record seals a journal together with the
 * epoch's RAM; it is then written to the disks, again by the next process if need be: written
 * twice it gives the same. A journal that no record names is dropped.
 */
export class DiskReplica {
  readonly #options: DiskReplicaOptions;
  readonly #sizes: readonly number[];
  readonly #journals = new Map<Epoch, Journal>();
  /** Changes of this epoch go to the disks at once: nothing whole is held meanwhile. */
  #inPlace: Epoch | null = null;
  #isChanged = false;

  constructor(options: DiskReplicaOptions) {
    this.#options = options;
    this.#sizes = options.images.map((image) => image.sizeBytes);
    mkdirSync(options.folder, { recursive: true, mode: 0o700 });
  }

  /** True where journals have no room for a body of so many bytes. */
  isFull(bytes: number): boolean {
    let waiting = bytes;
    for (const { fileBytes } of this.#journals.values()) waiting += fileBytes;
    return waiting > this.#options.journalBytesMax;
  }

  /**
   * Takes the body of a DISK frame. Throws `E_FRAME_CORRUPT` with nothing taken,
   * `E_DISK_JOURNAL` where it can't be written, `E_DISK_IO`.
   */
  add(epoch: Epoch, body: Uint8Array): void {
    const changes = [...diskChanges(body, this.#sizes)];
    const journal = this.#journals.get(epoch) ?? this.#open(epoch);
    if (journal.file === undefined) this.#write(changes);
    else {
      const record = new Uint8Array(4 + body.byteLength);
      new DataView(record.buffer).setUint32(0, body.byteLength, true);
      record.set(body, 4);
      const { path, descriptor } = journal.file;
      try {
        writeFully(descriptor, record, 0, record.length, journal.fileBytes);
      } catch (error) {
        throw journalError(path, error);
      }
      journal.fileBytes += record.length;
    }
    journal.digest.update(body);
    journal.bytes += body.byteLength;
    journal.frameCount += 1;
  }

  /** From now on changes of `epoch` go to the disks at once, and those that wait go ahead. */
  async goInPlace(epoch: Epoch): Promise<void> {
    if (this.#inPlace === epoch) return;
    await this.#willChange();
    this.#inPlace = epoch;
    const journal = this.#journals.get(epoch);
    if (journal?.file === undefined) return;
    await this.#applyFile(epoch, { bytes: journal.bytes, digest: journal.digest.value() });
    closeSync(journal.file.descriptor);
    unlinkSync(journal.file.path);
    this.#journals.set(epoch, { ...journal, file: undefined, fileBytes: 0 });
  }

  /**
   * What the state record has to name for `epoch`; null where nothing is to be written to disks.
   * Throws `E_EPOCH_CORRUPT` where what came is not what the primary sealed.
   */
  reference(epoch: Epoch, seal: DiskSeal): DiskReference | null {
    const journal = this.#journals.get(epoch);
    const found = journal ?? { bytes: 0, frameCount: 0, digest: new EpochDigest() };
    const { bytes, frameCount } = found;
    const digest = found.digest.value();
    if (bytes !== seal.bytes || frameCount !== seal.frameCount || digest !== seal.digest) {
      throw new UnderstudyError(
        'E_EPOCH_CORRUPT',
        `epoch ${epoch} came with ${bytes} bytes of disk changes; its seal says ${seal.bytes}`,
        { hint: 'The session is closed and the backup synchronised again; nothing was applied.' },
      );
    }
    return journal?.file === undefined ? null : { bytes, digest };
  }

  /**
   * Writes a sealed journal to the disks. The event loop turns. Throws `E_REPLICA_CORRUPT` where
   * the journal is not what `reference` says, before anything is written; `E_DISK_IO`.
   */
  async apply(epoch: Epoch, reference: DiskReference | null): Promise<void> {
    if (reference !== null) await this.#applyFile(epoch, reference);
  }

  /** `epoch` is applied and the record says so: its journal may go. */
  applied(epoch: Epoch): void {
    if (this.#inPlace === epoch) this.#inPlace = null;
    this.#remove(epoch);
  }

  /** Drops the journals of all epochs but a sealed one, also those of an earlier process. */
  dropAllBut(sealed: Epoch | null): void {
    this.#inPlace = null;
    for (const epoch of [...this.#journals.keys()]) if (epoch !== sealed) this.#remove(epoch);
    for (const name of readdirSync(this.#options.folder)) {
      if (sealed === null || name !== fileName(sealed))
        unlinkSync(join(this.#options.folder, name));
    }
  }

  close(): void {
    for (const { file } of this.#journals.values()) {
      if (file !== undefined) closeSync(file.descriptor);
    }
    this.#journals.clear();
    for (const image of this.#options.images) image.close();
  }

  #open(epoch: Epoch): Journal {
    const path = join(this.#options.folder, fileName(epoch));
    const rest = { digest: new EpochDigest(), bytes: 0, frameCount: 0, fileBytes: 0 };
    let file: Journal['file'];
    if (this.#inPlace !== epoch) {
      try {
        file = { path, descriptor: openSync(path, 'w+', 0o600) };
      } catch (error) {
        throw journalError(path, error);
      }
    }
    const journal: Journal = { file, ...rest };
    this.#journals.set(epoch, journal);
    return journal;
  }

  #remove(epoch: Epoch): void {
    const journal = this.#journals.get(epoch);
    this.#journals.delete(epoch);
    if (journal?.file !== undefined) closeSync(journal.file.descriptor);
    const path = join(this.#options.folder, fileName(epoch));
    if (existsSync(path)) unlinkSync(path);
  }

  async #willChange(): Promise<void> {
    if (this.#isChanged) return;
    await this.#options.beforeFirstChange?.();
    this.#isChanged = true;
  }

  /** Read twice: once to see that it is whole, once to write. */
  async #applyFile(epoch: Epoch, reference: DiskReference): Promise<void> {
    const path = join(this.#options.folder, fileName(epoch));
    let descriptor: number;
    try {
      descriptor = openSync(path, 'r');
    } catch (error) {
      throw corrupt(path, systemCode(error) ?? 'it can not be opened', error);
    }
    try {
      const digest = new EpochDigest();
      for (const body of bodiesIn(path, descriptor, reference.bytes)) digest.update(body);
      if (digest.value() !== reference.digest) throw corrupt(path, 'its checksum is wrong');
      await this.#willChange();
      const turns = new Turns();
      for (const body of bodiesIn(path, descriptor, reference.bytes)) {
        this.#write(diskChanges(body, this.#sizes));
        await turns.after(Math.ceil(body.byteLength / 4096));
      }
    } finally {
      closeSync(descriptor);
    }
  }

  #write(changes: Iterable<DiskChange>): void {
    for (const { disk, offset, length, data } of changes) {
      const image = this.#options.images[disk]!;
      try {
        if (data === undefined) image.zero(offset, length, true);
        else image.write(offset, data);
      } catch (error) {
        throw diskError(image.path, error);
      }
    }
  }
}

const fileName = (epoch: Epoch): string => `epoch-${epoch}`;
/** No frame is larger. */
const bodyBytesMax = 2 ** 21;

/** A body is valid until the next one. */
function* bodiesIn(path: string, descriptor: number, bytes: number): Generator<Uint8Array> {
  const head = new Uint8Array(4);
  const buffer = new Uint8Array(bodyBytesMax);
  let at = 0;
  for (let left = bytes; left > 0; ) {
    const found = readFully(descriptor, head, 0, 4, at);
    const length = new DataView(head.buffer).getUint32(0, true);
    if (found < 4 || length === 0 || length > Math.min(left, bodyBytesMax)) {
      throw corrupt(path, `no record at ${at}`);
    }
    if (readFully(descriptor, buffer, 0, length, at + 4) < length) throw corrupt(path, 'truncated');
    yield buffer.subarray(0, length);
    at += 4 + length;
    left -= length;
  }
}

function journalError(path: string, error: unknown): unknown {
  const code = systemCode(error);
  if (code === undefined) return error;
  return new UnderstudyError('E_DISK_JOURNAL', `the journal ${path} can't be written: ${code}`, {
    hint: 'Give the file system of guest.stateFolder room; the guest is synchronised again.',
    fields: { path, code },
    cause: error,
  });
}

function diskError(path: string, error: unknown): unknown {
  const code = systemCode(error);
  if (code === undefined) return error;
  return new UnderstudyError('E_DISK_IO', `the disk ${path} can't be written: ${code}`, {
    hint: 'See the room and the state of its file system; what is sealed is applied later.',
    fields: { path, code },
    cause: error,
  });
}
