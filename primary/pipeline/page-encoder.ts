import type { Epoch } from '../../shared/ids.ts';
import type { PageSet } from '../../shared/page-set.ts';
import type { CaptureBuffer } from '../capture/capture-slots.ts';
import type { CodecChoice } from './codec-policy.ts';
import type { EncodeStats } from './encode-stats.ts';

export interface EpochSummary {
  /** Digest of all RAM as of this epoch. */
  readonly ramDigest: bigint;
  readonly stats: EncodeStats;
}

/**
 * Turns captured pages into chunk payloads for one session, in this thread or in others. `counts`
 * says how many slots of each shard of the capture buffer are filled; until the call is over they
 * stay as they are. One call at a time, but for those that return nothing: they are done in order.
 *
 * Once an encoder has failed, or is closed, everything that is waited for throws.
 */
export interface PageEncoder extends CaptureBuffer {
  /** The backup holds the pages in the slots as they are; nothing is sent. */
  adopt(counts: Uint32Array): Promise<void>;
  /** The backup holds zeros in pages `first` to `end - 1`, and so does the guest. */
  adoptZeros(first: number, end: number): void;
  /**
   * The backup holds RAM with these page digests, page 0 first, and so did the guest: all of a page
   * that is not zeros is sent when it is captured first. The slots must be empty.
   */
  adoptDigests(digests: BigUint64Array): Promise<void>;
  /** The pages in the slots that are not what they were when they were captured last. */
  differing(counts: Uint32Array): Promise<readonly number[]>;
  /** Page digests, 8 bytes each, of the pages as captured last. */
  pageDigests(first: number, count: number): Promise<Uint8Array>;
  /** The backup may not hold these pages: when they are captured next, all of them is sent. */
  forget(pages: PageSet): void;
  /** `choice`: how groups are compressed from now on; without it as before. */
  begin(epoch: Epoch, choice?: CodecChoice): void;
  /**
   * The pages in the slots as a segment of the open epoch. Each payload is valid until the next
   * step. An epoch of which a segment was left early can't be finished.
   */
  encode(counts: Uint32Array): AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
  /** Ends the epoch: throws where anything of it was not encoded. */
  finish(): Promise<EpochSummary>;
  /** Whoever waits is told `why`. Nothing of it runs on once this has resolved. */
  close(why: Error): Promise<void>;
}
