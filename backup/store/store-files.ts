import { mkdirSync } from 'node:fs';
import { AlternatingFile } from './alternating-file.ts';
import { FolderLock } from './folder-lock.ts';
import type { ReplicaState } from './replica-state.ts';
import { Staging } from './staging.ts';
import { type FoundState, StateFile } from './state-file.ts';
import type { Takeover } from './store-options.ts';

/** Everything that a store keeps in its folder, open and locked. */
export class StoreFiles {
  readonly state: StateFile;
  readonly staging: Staging;
  readonly device: AlternatingFile;
  readonly baseline: AlternatingFile;
  /** What the state file said when it was opened. */
  readonly found: FoundState;
  readonly #lock: FolderLock;

  /** Throws `E_REPLICA_LOCKED`, and the system's errors where the folder can't be used. */
  constructor(folder: string, empty: ReplicaState, stagingBytesMax: number) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    this.#lock = FolderLock.acquire(folder);
    const open: { close(): void }[] = [];
    try {
      const { file, found } = StateFile.openOrCreate(folder, empty);
      this.state = file;
      this.found = found;
      open.push(file);
      this.device = new AlternatingFile(folder, 'device');
      open.push(this.device);
      this.baseline = new AlternatingFile(folder, 'baseline');
      open.push(this.baseline);
      this.staging = new Staging(folder, empty.pageCount, stagingBytesMax);
    } catch (error) {
      for (const file of open) file.close();
      this.#lock.release();
      throw error;
    }
  }

  /** The epoch that `state` names, for a takeover. Throws `E_REPLICA_CORRUPT`. */
  takeover({ checkpoint, settings, device, baseline }: ReplicaState): Omit<Takeover, 'known'> {
    return {
      ...checkpoint!,
      settings: settings!,
      deviceState: this.device.read(device!),
      baseline: this.baseline.read(baseline!),
    };
  }

  close(): void {
    this.staging.close();
    this.baseline.close();
    this.device.close();
    this.state.close();
    this.#lock.release();
  }
}
