import type { CodecSettings } from '../../shared/codec/codec-settings.ts';
import type { KnownRam } from '../../shared/codec/known-ram.ts';
import type { GuestName } from '../../shared/ids.ts';
import type { WritableMemory } from '../../shared/memory/guest-memory.ts';
import type { DiskReplica } from './disk-replica.ts';
import type { Checkpoint } from './replica-state.ts';

export interface StoreOptions {
  /** For the store alone, on a tmpfs beside the RAM file. Made if need be. */
  readonly folder: string;
  readonly guest: GuestName;
  readonly memory: WritableMemory;
  /** Bound of the journal. Worth a quarter of guest RAM or more. */
  readonly stagingBytesMax: number;
  /** The copies of the guest's disks; the store closes them. */
  readonly disks?: DiskReplica | undefined;
  /**
   * What RAM is, where the guest ran on it in this very process and was handed over: what the
   * folder says of it is older.
   */
  readonly known?: KnownRam | undefined;
}

/** An epoch as a takeover gets it. */
export interface Takeover extends Checkpoint {
  readonly settings: CodecSettings;
  /** Its RAM, by what was received and written here: a guest that runs on it leaves it behind. */
  readonly known: KnownRam;
  readonly baseline: Uint8Array;
  readonly deviceState: Uint8Array;
}

export interface CommitResult {
  /** Distinct pages that the epoch wrote. */
  readonly pages: number;
}
