import { closeSync, openSync } from 'node:fs';
import { digest64, EpochDigest } from '../../shared/codec/digest.ts';
import { systemCode, UnderstudyError } from '../../shared/errors.ts';
import { readFully } from './alternating-file.ts';
import { bodyBytesMax, headBytes } from './disk-journals.ts';
import type { DiskReference } from './replica-state.ts';
import { corrupt } from './store-errors.ts';
import type { TimedTurns } from './turns.ts';

/** Records that are read at once: as many whole ones as fit. */
const pieceBytesMax = 4 * 2 ** 20;
/** Heads that a read of a short journal has room for, so that it does not read far beyond. */
const headsBytes = 1024 * headBytes;

/** Room for journals that are read: all pieces of one up to 28 MiB, and one of what is beyond. */
export const journalRoomBytes = 32 * 2 ** 20;

interface Piece {
  readonly at: number;
  readonly bytes: number;
  /** As it was proven; undefined where there was no room to keep it. */
  readonly kept: Uint8Array | undefined;
  /** Of one that is not kept. */
  readonly digest: bigint | undefined;
}

/**
 * A sealed journal, read and found to be what was sealed. What it gives is what was proven: pieces that
 * were kept in memory, and beyond `journalRoomBytes` pieces that are read again, each compared with
 * what it was before anything of it is given.
 */
export class ProvenJournal {
  readonly #path: string;
  readonly #descriptor: number;
  readonly #room: Uint8Array;
  readonly #pieces: Piece[] = [];

  private constructor(path: string, room: Uint8Array) {
    this.#path = path;
    this.#room = room;
    try {
      this.#descriptor = openSync(path, 'r');
    } catch (error) {
      throw unreadable(path, error);
    }
  }

  /**
   * Reads all of the journal at `path`, whichever process wrote it. `room`: `journalRoomBytes`, for
   * this journal alone until it is closed. The event loop turns. Throws `E_REPLICA_CORRUPT` where it is
   * not what `reference` says.
   */
  static async read(
    path: string,
    reference: DiskReference,
    { room, turns }: { readonly room: Uint8Array; readonly turns: TimedTurns },
  ): Promise<ProvenJournal> {
    const journal = new ProvenJournal(path, room);
    try {
      await journal.#prove(reference, turns);
      return journal;
    } catch (error) {
      journal.close();
      throw error;
    }
  }

  /**
   * The bodies, each valid until the next. Throws `E_REPLICA_CORRUPT` before it gives anything
   * that is not what was proven.
   */
  *bodies(): Generator<Uint8Array> {
    for (const { at, bytes, kept, digest } of this.#pieces) {
      const piece = kept ?? this.#readPiece(this.#scratch, at, bytes);
      if (kept === undefined && (piece.byteLength < bytes || digest64(piece) !== digest)) {
        throw corrupt(this.#path, 'it changed while it was read');
      }
      yield* recordsIn(piece);
    }
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  async #prove({ bytes, digest: sealed }: DiskReference, turns: TimedTurns): Promise<void> {
    const digest = new EpochDigest();
    const keepMax = this.#room.byteLength - pieceBytesMax;
    let [at, keptBytes] = [0, 0];
    for (let left = bytes; left > 0; ) {
      const isKept = keptBytes + pieceBytesMax <= keepMax;
      const into = isKept ? this.#room.subarray(keptBytes) : this.#scratch;
      const found = this.#readPiece(into, at, Math.min(pieceBytesMax, left + headsBytes));
      let length = 0;
      for (const body of recordsIn(found)) {
        if (body.byteLength > left) throw corrupt(this.#path, `no record at ${at + length}`);
        digest.update(body);
        left -= body.byteLength;
        length += headBytes + body.byteLength;
        if (left === 0) break;
      }
      if (length === 0) throw corrupt(this.#path, `no record at ${at}`);
      const piece = found.subarray(0, length);
      this.#pieces.push({
        ...{ at, bytes: length, kept: isKept ? piece : undefined },
        digest: isKept ? undefined : digest64(piece),
      });
      if (isKept) keptBytes += length;
      at += length;
      await turns.after();
    }
    if (digest.value() !== sealed) throw corrupt(this.#path, 'its checksum is wrong');
  }

  get #scratch(): Uint8Array {
    return this.#room.subarray(this.#room.byteLength - pieceBytesMax);
  }

  /** What there is of so many bytes. */
  #readPiece(into: Uint8Array, at: number, bytes: number): Uint8Array {
    try {
      return into.subarray(0, readFully(this.#descriptor, into, 0, bytes, at));
    } catch (error) {
      throw unreadable(this.#path, error);
    }
  }
}

/** The whole records at the start of `bytes`. */
function* recordsIn(bytes: Uint8Array): Generator<Uint8Array> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at + headBytes <= bytes.byteLength; ) {
    const length = view.getUint32(at, true);
    const end = at + headBytes + length;
    if (length === 0 || length > bodyBytesMax || end > bytes.byteLength) return;
    yield bytes.subarray(at + headBytes, end);
    at = end;
  }
}

function unreadable(path: string, error: unknown): unknown {
  const code = systemCode(error);
  if (code === undefined || error instanceof UnderstudyError) return error;
  return corrupt(path, `it can not be read: ${code}`, error);
}
