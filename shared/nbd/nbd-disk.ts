/**
 * A disk as the NBD server serves it. A method that returns undefined has done its work; one that
 * returns a promise does it when that resolves. Errors, thrown or rejected, carry the system's
 * `code`. Requests were checked: they lie within the disk, and writes come to a writable one only.
 */
export interface NbdDisk {
  readonly sizeBytes: number;
  readonly writable: boolean;
  /**
   * Reads into `target`, whose memory is at `address`; returns false where the data is not at
   * hand at once.
   */
  readCached(offset: number, target: Uint8Array, address: bigint): boolean;
  read(offset: number, target: Uint8Array): Promise<void>;
  /** `source` may be reused once this returned. */
  write(offset: number, source: Uint8Array): void;
  /** Makes a range read as zeros; gives its room back to the host if `mayPunch`. */
  zero(offset: number, length: number, mayPunch: boolean): void;
  /** The range's content is of no use any more. */
  trim(offset: number, length: number): void;
  /** Resolves when every write that was done before is on stable storage. */
  flush(): Promise<void>;
  /** What of the range is a hole, from its start on; at most `countMax` runs. */
  extents(offset: number, length: number, countMax: number): DiskExtent[];
}

export interface DiskExtent {
  readonly bytes: number;
  readonly isHole: boolean;
}
