// The kernels' exports (see shared/codec/kernels.ts for how they are called). All state is in the
// instance: one instance serves one encoder, one decoder or one digester.
import { initClassify } from './classify';
import { digestImages, initDecode } from './decode';
import { beginSegment, initEncode } from './encode';
import { enterHeld, initHeld } from './held';
import { blockShift, blocksPerPage, digestRow, identifyPage, mix, setBlocks } from './identify';
import {
  adoptDigest, beginEpochOfIndex, clearPages, initIndex, initZeroPage, pageCount, rootDigest, rowOf, setUnknown, updatePage,
  updateZero, zeroDigest,
} from './index';
import { dropKept, initKept, keptCount, setEpoch } from './kept';
import { initShare } from './share';
import { initSources } from './sources';
import { SECRET } from './xxh3';
import { xxh3Of128, xxh3Of64, xxh3OfLong } from './xxh3';
import { xxh64Of } from './xxh64';
import { initWkdm } from './wkdm';
import { initZeroRun } from './zero-run';

export { groupBytes, groupClosed, setGeneral } from './classify';
export { decodeBodies, decodeFault, decodeHeads } from './decode';
export {
  beginChunk, bodyBytes, encodePages, headBytes, pagesInChunk, pagesTouched, segmentCursor,
} from './encode';
/**
 * Exported so that the compiler does not put them, rarely run as they are, into the middle of the
 * function that encodes a page: all of that got slower by several per cent.
 */
export { enterPlaces, seek, touchPlaces } from './held';
export { sourceCount } from './sources';
export { statsAt } from './stats';
export { wkdmDecode, wkdmEncode } from './wkdm';
export { zeroRunBytes, zeroRunDecode, zeroRunEncode, zeroRunLeast } from './zero-run';
export {
  beginSegment, clearPages, digestImages, initClassify, initDecode, initEncode, initIndex,
  initHeld, initKept, initShare, initSources,
};

/** Where memory is free for the caller's use. */
export function heapBase(): usize {
  return __heap_base;
}

export function secretAt(): usize {
  return SECRET;
}

/** Once, after the secret was written. `shift`: log2 of the block size. */
export function init(shift: u32, xxh64: bool): void {
  setBlocks(shift as usize, xxh64);
  initZeroRun();
  initWkdm();
  initZeroPage();
}

/** Epochs are counted from 1. */
export function beginEpoch(serial: u32): void {
  setEpoch(serial);
  beginEpochOfIndex();
}

export function ramDigest(): u64 {
  return rootDigest;
}

export function zeroPageDigest(): u64 {
  return zeroDigest;
}

/** Takes over `count` neighbouring pages at `images` as what the backup holds. */
export function adoptRange(first: u32, count: u32, images: usize): void {
  for (let i: u32 = 0; i < count; i++) {
    const changed = updatePage(first + i, images + ((i as usize) << 12));
    if (changed != 0 && keptCount != 0) dropKept(first + i);
    setUnknown(first + i, false);
    enterHeld(first + i, changed);
  }
}

/** Takes over pages `first` to `end - 1` as zeros, which the backup holds too. */
export function adoptZeros(first: u32, end: u32): void {
  for (let page = first; page < end; page++) {
    if (updateZero(page) && keptCount != 0) dropKept(page);
    setUnknown(page, false);
  }
}

/** Takes over `count` neighbouring pages by their digests, which the backup holds. */
export function adoptDigests(first: u32, count: u32, digests: usize): void {
  for (let i: u32 = 0; i < count; i++) {
    adoptDigest(first + i, load<u64>(digests + ((i as usize) << 3)));
    if (keptCount != 0) dropKept(first + i);
  }
}

/** The backup may not hold these `count` pages, whose numbers are at `pages`. */
export function forgetPages(pages: usize, count: u32): void {
  for (let i: usize = 0; i < (count as usize); i++) {
    const page = load<u32>(pages + (i << 2));
    if (page >= pageCount) continue;
    setUnknown(page, true);
    if (keptCount != 0) dropKept(page);
  }
}

/** The sum of mix(digest, first + i) over `count` digests. */
export function foldDigests(digests: usize, first: u32, count: u32): u64 {
  let sum: u64 = 0;
  for (let i: u32 = 0; i < count; i++) {
    sum += mix(load<u64>(digests + ((i as usize) << 3)), first + i);
  }
  return sum;
}

/** The same for pages anywhere, whose numbers are at `pages`. */
export function foldScattered(digests: usize, pages: usize, count: u32): u64 {
  let sum: u64 = 0;
  for (let i: usize = 0; i < (count as usize); i++) {
    sum += mix(load<u64>(digests + (i << 3)), load<u32>(pages + (i << 2)));
  }
  return sum;
}

/** Hashes `count` pages against the rows at `rows`; bitmaps of changed blocks to `bitmaps`. */
export function identifyPages(images: usize, rows: usize, count: u32, bitmaps: usize): void {
  for (let i: usize = 0; i < (count as usize); i++) {
    const changed = identifyPage(images + (i << 12), rows + i * (blocksPerPage << 3));
    store<u64>(bitmaps + (i << 3), changed);
  }
}

/** The hashes of one page, and the digest over them after the last. */
export function hashPage(image: usize, row: usize): u64 {
  identifyPage(image, row);
  return digestRow(row);
}

/** The published functions themselves, for tests: XXH3_64bits_withSecret and XXH64. */
export function xxh3(p: usize, length: usize): u64 {
  if (length == 64) return xxh3Of64(p);
  return length == 128 ? xxh3Of128(p) : xxh3OfLong(p, length);
}

export function xxh64(p: usize, length: usize): u64 {
  return xxh64Of(p, length);
}
