/** What an epoch was made of. Bytes are counted before and after the method named. */
export interface EncodeStats {
  /** Pages with at least one changed block: those that were sent. */
  readonly changedPages: number;
  readonly changedBlocks: number;
  readonly zeroBlocks: number;
  /** Blocks sent as references, the next two kinds included. */
  readonly sharedBlocks: number;
  /** References to kept pages, as the backup held them before the epoch. */
  readonly sharedBeforeBlocks: number;
  /** References to any other page that the backup holds. */
  readonly sharedHeldBlocks: number;
  readonly zeroRun: MethodStats;
  readonly delta: MethodStats;
  readonly wkdm: MethodStats;
  readonly stored: MethodStats;
  readonly general: MethodStats;
  /** Time in the general codec, of all threads together. */
  readonly generalMs: number;
  /** All chunk payloads. */
  readonly chunkBytes: number;
  readonly chunks: number;
}

export interface MethodStats {
  readonly pages: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

export const statsSlots = 32;

/** What is counted outside the kernels. */
export const emptyTally = () => ({ generalBytesOut: 0, generalMs: 0, chunkBytes: 0, chunks: 0 });

/** `counters` as `wasm/stats.ts` lays them out. */
export function readStats(
  counters: Float64Array,
  { generalBytesOut, generalMs, chunkBytes, chunks }: ReturnType<typeof emptyTally>,
): EncodeStats {
  const method = (number: number, bytesOut = counters[24 + number]!): MethodStats => ({
    pages: counters[8 + number]!,
    bytesIn: counters[16 + number]!,
    bytesOut,
  });
  return {
    changedPages: counters[0]!,
    changedBlocks: counters[1]!,
    zeroBlocks: counters[2]!,
    sharedBlocks: counters[3]!,
    sharedBeforeBlocks: counters[4]!,
    sharedHeldBlocks: counters[5]!,
    zeroRun: method(1),
    delta: method(2),
    wkdm: method(3),
    stored: method(4),
    general: method(5, generalBytesOut),
    generalMs,
    chunkBytes,
    chunks,
  };
}

/** Of parts of one epoch that were encoded apart; there may be none. */
export function sumStats(parts: readonly EncodeStats[]): EncodeStats {
  return parts.reduce(addStats, readStats(new Float64Array(statsSlots), emptyTally()));
}

function addStats(a: EncodeStats, b: EncodeStats): EncodeStats {
  return {
    changedPages: a.changedPages + b.changedPages,
    changedBlocks: a.changedBlocks + b.changedBlocks,
    zeroBlocks: a.zeroBlocks + b.zeroBlocks,
    sharedBlocks: a.sharedBlocks + b.sharedBlocks,
    sharedBeforeBlocks: a.sharedBeforeBlocks + b.sharedBeforeBlocks,
    sharedHeldBlocks: a.sharedHeldBlocks + b.sharedHeldBlocks,
    zeroRun: addMethods(a.zeroRun, b.zeroRun),
    delta: addMethods(a.delta, b.delta),
    wkdm: addMethods(a.wkdm, b.wkdm),
    stored: addMethods(a.stored, b.stored),
    general: addMethods(a.general, b.general),
    generalMs: a.generalMs + b.generalMs,
    chunkBytes: a.chunkBytes + b.chunkBytes,
    chunks: a.chunks + b.chunks,
  };
}

function addMethods(a: MethodStats, b: MethodStats): MethodStats {
  return {
    pages: a.pages + b.pages,
    bytesIn: a.bytesIn + b.bytesIn,
    bytesOut: a.bytesOut + b.bytesOut,
  };
}
