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
  /** What the log said has left: so much room is there again. */
  | { readonly kind: 'sent'; readonly log: number; readonly bytes: number }
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

/** What comes of a call. */
export type CallResult = BigUint64Array | Uint32Array | undefined;

export interface PlainError {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
}

export type FromDiskThread =
  | { readonly kind: 'ready'; readonly sizes: readonly number[] }
  | { readonly kind: 'failed'; readonly error: PlainError }
  | {
      readonly kind: 'changes';
      readonly log: number;
      readonly epoch: number;
      readonly body: Uint8Array;
    }
  | { readonly kind: 'done'; readonly call: number; readonly result: CallResult }
  | { readonly kind: 'not-done'; readonly call: number; readonly error: PlainError };
