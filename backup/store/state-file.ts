import {
  closeSync,
  existsSync,
  openSync,
  readSync,
  renameSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { decodeState, encodeState, type ReplicaState, stateBytes } from './replica-state.ts';
import { fileError } from './store-errors.ts';

/**
 * Two slots, each one record, written in turn: record n goes to slot n mod 2, so the record in
 * force is never overwritten. A write that a kill cuts short leaves a slot that does not check,
 * and the record before it in force.
 *
 * The slots lie a page apart. On tmpfs what was written survives the writer, in program order;
 * a host that loses power loses the replica with its RAM file, so nothing is ever synced.
 */
export class StateFile {
  readonly path: string;
  readonly #descriptor: number;
  #sequence: number;

  private constructor(path: string, descriptor: number, sequence: number) {
    this.path = path;
    this.#descriptor = descriptor;
    this.#sequence = sequence;
  }

  /** Opens what is there; where nothing is, makes the file appear whole, holding `empty`. */
  static openOrCreate(
    folder: string,
    empty: ReplicaState,
  ): { readonly file: StateFile; readonly found: FoundState } {
    const path = join(folder, 'state');
    if (!existsSync(path)) {
      return { file: StateFile.#create(path, empty), found: { state: empty, problems: [] } };
    }
    const descriptor = openSync(path, 'r+');
    try {
      const slots = [readSlot(descriptor, 0), readSlot(descriptor, 1)];
      const problems = slots.flatMap((slot) => ('why' in slot ? [slot.why] : []));
      const valid = slots.flatMap((slot) => ('why' in slot ? [] : [slot]));
      valid.sort((a, b) => b.sequence - a.sequence);
      const newest = valid[0];
      const file = new StateFile(path, descriptor, newest?.sequence ?? 0);
      return { file, found: { state: newest?.state ?? null, problems } };
    } catch (error) {
      closeSync(descriptor);
      throw error;
    }
  }

  /** Puts `state` in force: it is when this returns, or, where a kill came first, it may be. */
  write(state: ReplicaState): void {
    const sequence = this.#sequence + 1;
    const record = encodeState(state, sequence);
    try {
      const written = writeSync(this.#descriptor, record, 0, stateBytes, slotOffset(sequence));
      if (written !== stateBytes) throw new Error(`${this.path}: short write`);
    } catch (error) {
      throw fileError(this.path, error);
    }
    this.#sequence = sequence;
  }

  /**
   * Puts `state` in force in both slots: for a state that claims less than the one before it,
   * which must not come back because the newer slot was damaged. Also gives both slots their
   * memory, so that no later write can fail on a full tmpfs.
   */
  writeBoth(state: ReplicaState): void {
    this.write(state);
    this.write(state);
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  static #create(path: string, empty: ReplicaState): StateFile {
    const fresh = `${path}.new`;
    const file = new StateFile(path, openSync(fresh, 'w+', 0o600), 0);
    try {
      file.writeBoth(empty);
      renameSync(fresh, path);
      return file;
    } catch (error) {
      file.close();
      unlinkSync(fresh);
      throw error;
    }
  }
}

export interface FoundState {
  /** The newest record that checks; null where neither does. */
  readonly state: ReplicaState | null;
  /**
   * Why slots do not check. A slot cut short by a kill and one damaged later look alike, so
   * with a problem here the record in force is to be believed only after RAM was digested.
   */
  readonly problems: readonly string[];
}

const slotOffset = (sequence: number): number => (sequence & 1) * 4096;

function readSlot(descriptor: number, slot: 0 | 1): ReturnType<typeof decodeState> {
  const bytes = new Uint8Array(stateBytes);
  const read = readSync(descriptor, bytes, 0, stateBytes, slotOffset(slot));
  return decodeState(bytes.subarray(0, read));
}
