import { chunkPagesMax, chunkSourcesMax } from '../../shared/codec/chunk.ts';
import type { CodecSettings } from '../../shared/codec/codec-settings.ts';
import type { Arena } from '../../shared/codec/kernels.ts';
import { pageBytes } from '../../shared/ids.ts';

/** What shapes the memory of an encoder. */
export interface EncoderSizes {
  readonly capturePages: number;
  /** 0: no page is kept. */
  readonly keptPages: number;
  readonly chunkBytes: number;
  readonly groupBytes: number;
  readonly sharing: boolean;
  /** Pages of RAM that the encoder's shard has, at most. */
  readonly shardPages: number;
}

/** As many as `wasm/held.ts` has. */
export const heldSlots = 16;
/** Blocks that lead to a page. */
const heldEntriesPerPage = 2;

/** Page numbers that are handed over at once. */
export const scratchPages = 4096;

/** Offsets in the WASM memory of an encoder. */
export type EncoderRegions = ReturnType<typeof planEncoder>;

/**
 * Lays out the memory of an encoder. By far the largest is the hash index: 8 bytes a block, which
 * is an eighth of guest RAM at 64-byte blocks; then 14 bytes a page, with sharing 8 to 16
 * for each page of the shard to find it by, and the two buffers.
 */
export function planEncoder(arena: Arena, settings: CodecSettings, sizes: EncoderSizes) {
  const blocksPerPage = pageBytes / settings.blockBytes;
  const { pageCount } = settings;
  const { capturePages, keptPages, sharing, shardPages } = sizes;
  const keptEntries = sharing ? tableEntries(keptPages * blocksPerPage) : 1;
  const forKept = keptPages > 0 ? pageCount : 0;
  const heldEntries = sharing ? powerAbove(shardPages * heldEntriesPerPage) : 0;
  return {
    // First of all; what follows is zeroed at the start.
    rows: arena.reserve(pageCount * blocksPerPage * 8),
    digests: arena.reserve(pageCount * 8),
    states: arena.reserve(pageCount),
    slotOfPage: arena.reserve(forKept * 4),
    lastWritten: arena.reserve(forKept),
    kept: arena.reserve(keptPages * pageBytes),
    keptSlots: arena.reserve(keptPages * 9),
    keptNames: arena.reserve(keptPages * 8),
    keptTable: arena.reserve(keptEntries * 4),
    keptEntries,
    heldTable: arena.reserve(heldEntries * 4),
    heldEntries,
    heldImages: arena.reserve(sharing ? heldSlots * pageBytes : 0),
    capture: arena.reserve(capturePages * pageBytes),
    capturePages: arena.reserve(capturePages * 4),
    slotNames: arena.reserve(capturePages * 8),
    table: arena.reserve(sharing ? tableEntries(capturePages * blocksPerPage) * 4 : 0),
    touched: arena.reserve(capturePages * 4),
    compared: arena.reserve(capturePages * 8),
    scratch: arena.reserve(scratchPages * 4),
    sources: arena.reserve(chunkSourcesMax * 4),
    // A page's head takes at most 30 bytes; a body may be written beyond its end before it is cut.
    heads: arena.reserve(chunkPagesMax * 32),
    bodies: arena.reserve(sizes.chunkBytes + 2 * pageBytes),
    group: arena.reserve(sizes.groupBytes + pageBytes),
  };
}

/** At least twice as many as there are blocks. */
function tableEntries(blocks: number): number {
  return powerAbove(blocks * 2);
}

function powerAbove(count: number): number {
  return Math.max(1024, 2 ** Math.ceil(Math.log2(Math.max(1, count))));
}
