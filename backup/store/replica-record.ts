import { type Checkpoint, emptyState, type ReplicaState } from './replica-state.ts';
import type { StateFile } from './state-file.ts';
import { taken } from './store-errors.ts';

/** The state in force, in memory and in its file. */
export class ReplicaRecord {
  readonly #file: StateFile;
  #state: ReplicaState;

  /** `state` must be what the file says. */
  constructor(file: StateFile, state: ReplicaState) {
    this.#file = file;
    this.#state = state;
  }

  get state(): ReplicaState {
    return this.#state;
  }

  get held(): Checkpoint | null {
    const { phase, checkpoint } = this.#state;
    return phase === 'whole' || phase === 'redo' ? checkpoint : null;
  }

  get takenOver(): Checkpoint | null {
    const { phase, checkpoint } = this.#state;
    return phase === 'lent' || phase === 'taken' ? checkpoint : null;
  }

  refuseIfTaken(): void {
    if (this.takenOver !== null) throw taken();
  }

  lend(): void {
    this.lower({ ...this.#state, phase: 'lent' });
  }

  letRun(): void {
    if (this.takenOver === null) throw new Error('letRun: nothing was taken');
    if (this.#state.phase === 'lent') this.lower({ ...this.#state, phase: 'taken' });
  }

  /** A sealed epoch, or one that is whole. If this throws, the state before stays in force. */
  set(state: ReplicaState): void {
    this.#file.write(state);
    this.#state = state;
  }

  /** A state that claims less than the one before: see `StateFile.writeBoth`. */
  lower(state: ReplicaState): void {
    this.#file.writeBoth(state);
    this.#state = state;
  }

  /** Nothing is held from now on. */
  lowerTo(phase: 'empty' | 'synchronising'): void {
    this.lower({ ...emptyState(this.#state.guest, this.#state.pageCount), phase });
  }
}
