import type { KnownChanges } from '../change-basis.ts';
import type { SessionId } from '../ids.ts';

/** What the main thread and the disk thread share without a message. */
export const diskControl = {
  /** Epoch to which a change belongs that is made now. Moved on while the guest stands still. */
  epoch: 0,
  /** 1 while the guest is stopped for a checkpoint: a FLUSH is answered at once. */
  pausing: 1,
  /** One of `changesAre`. Read with each change: it holds from the moment at which it is stored. */
  changes: 2,
  cells: 3,
} as const;

export const changesAre = {
  /** Not known yet: changes wait. */
  undecided: 0,
  /** The guest runs here. */
  open: 1,
  /** It does not: its disks change by the primary's epochs alone. */
  refused: 2,
} as const;

export interface DiskTask {
  readonly socketPath: string;
  /** For the maps of changes. */
  readonly mapFolder: string;
  readonly images: readonly string[];
  readonly control: SharedArrayBuffer;
}

/** Digests of pages of 4 KiB of one disk. */
export interface PageRange {
  readonly disk: number;
  readonly first: number;
  readonly count: number;
}

export interface DigestSettings {
  readonly hash: 'xxh3' | 'xxh64';
  readonly blockBytes: 64 | 128 | 256;
  readonly secret: Uint8Array;
}

export type ToDiskThread =
  /** Whether changes are refused or made was decided: those that waited for it go on. */
  | { readonly kind: 'decided' }
  | { readonly kind: 'start-log'; readonly log: number; readonly frameBytes: number }
  | { readonly kind: 'stop-log' }
  /** What the log said has left: so much room is there again, and the memory of it. */
  | {
      readonly kind: 'sent';
      readonly log: number;
      readonly bytes: number;
      readonly memory: ArrayBuffer;
    }
  | { readonly kind: 'guest-stops' }
  /** Answered: */
  | { readonly kind: 'seal'; readonly call: number }
  | {
      readonly kind: 'digests';
      readonly call: number;
      readonly range: PageRange;
      readonly settings: DigestSettings;
    }
  | {
      readonly kind: 'copy';
      readonly call: number;
      readonly disk: number;
      readonly pages: Uint32Array;
    }
  /** The backup has this epoch of the session whose changes are logged. */
  | {
      readonly kind: 'acked';
      readonly log: number;
      readonly session: string;
      readonly epoch: number;
    }
  /** The disks are exactly those of the epoch, and the guest goes on from it here. */
  | {
      readonly kind: 'start-from';
      readonly call: number;
      readonly session: string;
      readonly epoch: number;
    }
  /** The disks are about to be changed by another host's epochs. */
  | { readonly kind: 'forget'; readonly call: number }
  /** The disks are changed by this session's primary alone from now on. */
  | { readonly kind: 'follow'; readonly call: number; readonly session: SessionId }
  /** What is known of a disk, once it is synced; undefined where that failed once. */
  | { readonly kind: 'known-synced'; readonly call: number; readonly disk: number }
  /** The other host is brought level: it may differ in these regions; null: anywhere. */
  | {
      readonly kind: 'lead';
      readonly call: number;
      readonly disk: number;
      readonly session: SessionId;
      readonly regions: Uint32Array | null;
    }
  /** Ends a round of proofs: what was changed in it has been handed out with the answer. */
  | { readonly kind: 'end-round'; readonly call: number; readonly disk: number }
  /** The other host has these regions as they were when the round ended. */
  | ({ readonly kind: 'proven'; readonly call: number } & ProvenRegions)
  /** What is known of each disk. */
  | { readonly kind: 'known'; readonly call: number }
  /** Remembers which pages are changed from now on, or forgets them. */
  | { readonly kind: 'watch'; readonly call: number; readonly isOn: boolean }
  /** Which of these pages were not changed since the watch began. */
  | {
      readonly kind: 'unchanged';
      readonly call: number;
      readonly disk: number;
      readonly pages: Uint32Array;
    }
  | { readonly kind: 'close'; readonly call: number };

export interface ProvenRegions {
  readonly disk: number;
  readonly session: SessionId;
  readonly round: number;
  readonly regions: Uint32Array;
}

/** What comes of a call. */
export type CallResult =
  | BigUint64Array
  | Uint32Array
  | readonly DiskKnowledge[]
  | KnownChanges
  | number
  | boolean
  | undefined;

export interface DiskKnowledge {
  readonly known: KnownChanges | null;
  /** False where the image is not the one that was here when an earlier process ended. */
  readonly isSameImage: boolean;
}

export interface PlainError {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
}

export type FromDiskThread =
  | { readonly kind: 'ready'; readonly sizes: readonly number[] }
  | { readonly kind: 'failed'; readonly error: PlainError }
  /** The host failed a request of the guest, which was told so, or what it has to remember. */
  | { readonly kind: 'trouble'; readonly error: PlainError }
  | {
      readonly kind: 'changes';
      readonly log: number;
      readonly epoch: number;
      readonly body: Uint8Array;
    }
  | { readonly kind: 'done'; readonly call: number; readonly result: CallResult }
  | { readonly kind: 'not-done'; readonly call: number; readonly error: PlainError };
