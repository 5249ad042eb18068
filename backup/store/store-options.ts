import type { CodecSettings } from '../../shared/codec/codec-settings.ts';
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
}

/** An epoch as a takeover gets it. */
export interface Takeover extends Checkpoint {
  readonly settings: CodecSettings;
  readonly baseline: Uint8Array;
  readonly deviceState: Uint8Array;
}

export interface CommitResult {
  /** Distinct pages that the epoch wrote. */
  readonly pages: number;
}
