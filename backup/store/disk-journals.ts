import {
  closeSync,
  existsSync,
  ftruncateSync,
  openSync,
  readdirSync,
  renameSync,
  unlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { systemCode, UnderstudyError } from '../../shared/errors.ts';
import type { Epoch } from '../../shared/ids.ts';
import { writeFully } from './alternating-file.ts';

/** No body is larger. */
export const bodyBytesMax = 2 ** 21;
export const headBytes = 4;
/** Files without a journal, of so many bytes each at most. */
const sparesMax = 4;
const spareBytesMax = 64 * 2 ** 20;

/** A file of records, which this process has open. */
export interface DiskJournal {
  readonly epoch: Epoch;
  readonly descriptor: number;
  /** Of its records. */
  bytes: number;
  /** Of the file: what lies behind the records is of a journal before it. */
  fileBytes: number;
}

interface Spare {
  readonly path: string;
  readonly descriptor: number;
  readonly fileBytes: number;
}

/**
 * The journals of a backup's disks, one file an epoch:
 *
 *   u32 length · body of a DISK frame         (repeated)
 *
 * How many bytes are of the journal is not said in it: the state record does, and `proven-journal.ts`
 * reads it. A file whose journal is
 * done is written over by a later one, because room that a file system has given is had at memory's
 * speed, and new room at a tenth of it.
 */
export class DiskJournals {
  readonly #folder: string;
  readonly #bytesMax: number;
  readonly #open = new Map<Epoch, DiskJournal>();
  readonly #spares: Spare[] = [];
  readonly #head = new Uint8Array(headBytes);
  #spareNumber = 0;

  /** `bytesMax`: most bytes that files take. */
  constructor(folder: string, bytesMax: number) {
    this.#folder = folder;
    this.#bytesMax = bytesMax;
  }

  /** Bytes of records that wait. */
  get waitingBytes(): number {
    let bytes = 0;
    for (const journal of this.#open.values()) bytes += journal.bytes;
    return bytes;
  }

  path(epoch: Epoch): string {
    return join(this.#folder, `epoch-${epoch}`);
  }

  /** An empty one. Throws `E_DISK_JOURNAL`. */
  begin(epoch: Epoch): DiskJournal {
    const path = this.path(epoch);
    const spare = this.#spares.pop();
    try {
      if (spare !== undefined) renameSync(spare.path, path);
      const descriptor = spare?.descriptor ?? openSync(path, 'w+', 0o600);
      const journal = { epoch, descriptor, bytes: 0, fileBytes: spare?.fileBytes ?? 0 };
      this.#open.set(epoch, journal);
      return journal;
    } catch (error) {
      if (spare !== undefined) closeSync(spare.descriptor);
      throw journalError(path, error);
    }
  }

  /** Throws `E_DISK_JOURNAL`, with nothing added. */
  add(journal: DiskJournal, body: Uint8Array): void {
    const { descriptor, bytes: at, fileBytes } = journal;
    const end = at + headBytes + body.byteLength;
    this.#leaveRoom(end - fileBytes);
    new DataView(this.#head.buffer).setUint32(0, body.byteLength, true);
    const write = () => {
      writeFully(descriptor, this.#head, 0, headBytes, at);
      writeFully(descriptor, body, 0, body.byteLength, at + headBytes);
    };
    try {
      try {
        write();
      } catch (error) {
        if (systemCode(error) !== 'ENOSPC' || this.#spares.length === 0) throw error;
        this.#dropSpares();
        write();
      }
    } catch (error) {
      throw journalError(this.path(journal.epoch), error);
    }
    journal.bytes = end;
    journal.fileBytes = Math.max(fileBytes, end);
  }

  /** The journal of `epoch`, if there is one, is done with. */
  end(epoch: Epoch): void {
    const path = this.path(epoch);
    const journal = this.#open.get(epoch);
    this.#open.delete(epoch);
    if (journal === undefined) {
      if (existsSync(path)) unlinkSync(path);
      return;
    }
    const fileBytes = Math.min(journal.fileBytes, spareBytesMax);
    const used = { path, descriptor: journal.descriptor, fileBytes };
    const isTooMuch =
      this.#spares.length === sparesMax || this.#fileBytes + fileBytes > this.#bytesMax;
    if (isTooMuch || !existsSync(path)) {
      drop(used);
      return;
    }
    if (fileBytes < journal.fileBytes) ftruncateSync(journal.descriptor, fileBytes);
    this.#spareNumber += 1;
    const spare = { ...used, path: join(this.#folder, `spare-${this.#spareNumber}`) };
    renameSync(path, spare.path);
    this.#spares.push(spare);
  }

  /** Ends all but one, also those of an earlier process. */
  endAllBut(kept: Epoch | null): void {
    for (const epoch of [...this.#open.keys()]) if (epoch !== kept) this.end(epoch);
    const named = new Set(this.#spares.map(({ path }) => path));
    if (kept !== null) named.add(this.path(kept));
    for (const name of readdirSync(this.#folder)) {
      const path = join(this.#folder, name);
      if (!named.has(path)) unlinkSync(path);
    }
  }

  /** Files stay as they are: the next process knows what it needs of them, and drops the rest. */
  close(): void {
    for (const { descriptor } of [...this.#open.values(), ...this.#spares]) closeSync(descriptor);
    this.#open.clear();
    this.#spares.length = 0;
  }

  get #fileBytes(): number {
    let bytes = 0;
    for (const { fileBytes } of [...this.#open.values(), ...this.#spares]) bytes += fileBytes;
    return bytes;
  }

  /** So that files never take more than they may for the sake of spares. */
  #leaveRoom(bytes: number): void {
    if (bytes <= 0 || this.#spares.length === 0) return;
    if (this.#fileBytes + bytes > this.#bytesMax) this.#dropSpares();
  }

  #dropSpares(): void {
    for (const spare of this.#spares.splice(0)) drop(spare);
  }
}

function drop({ path, descriptor }: Spare): void {
  closeSync(descriptor);
  if (existsSync(path)) unlinkSync(path);
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
