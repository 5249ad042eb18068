// The hash index of a whole guest: per page a row of block hashes, a digest, and a state.
// Invariant: `rootDigest` is the sum of mix(digest of p, p) over all pages p.
import { PAGE_BYTES, blocksPerPage, digestRow, identifyPage, mix, wholePage } from './identify';

/** State of a page: the backup may not hold what the index says. */
const UNKNOWN: u8 = 128;

const ZEROS: usize = memory.data(4096, 16);
const ZERO_ROW: usize = memory.data(512, 16);

export let pageCount: u32 = 0;
export let rowBytes: usize = 0;
export let zeroHash: u64 = 0;
export let zeroDigest: u64 = 0;
export let rootDigest: u64 = 0;
let rows: usize = 0;
let digests: usize = 0;
/** Segments that can be told apart; what one epoch has beyond them counts as one segment. */
const SEGMENT_MAX: u8 = 127;
/** Per page a byte: `UNKNOWN`, or the segment in which it was sent last; 0 is long ago. */
let states: usize = 0;
let segment: u8 = 0;
/** The first segment of this epoch. */
let epochSegment: u8 = 0;

/** Computes what depends on the secret and the block size. */
export function initZeroPage(): void {
  identifyPage(ZEROS, ZERO_ROW);
  rowBytes = blocksPerPage << 3;
  zeroHash = load<u64>(ZERO_ROW);
  zeroDigest = digestRow(ZERO_ROW);
}

/** Starts an index that has no page yet. */
export function initIndex(count: u32, rowsAt: usize, digestsAt: usize, statesAt: usize): void {
  pageCount = count;
  rows = rowsAt;
  digests = digestsAt;
  states = statesAt;
  segment = 0;
  epochSegment = 0;
  rootDigest = 0;
}

export function beginEpochOfIndex(): void {
  if (segment > (SEGMENT_MAX >> 1)) {
    // All pages were sent before this epoch: that is all that counts.
    const unknown = i8x16.splat(UNKNOWN as i8);
    for (let at = states; at < states + pageCount; at += 16) {
      v128.store(at, v128.and(v128.load(at), unknown));
    }
    segment = 0;
  }
  epochSegment = segment + 1;
}

export function beginSegmentOfIndex(): void {
  if (segment < SEGMENT_MAX) segment += 1;
}

/** Once for each page that the index is to have: it is zero and unknown. */
export function clearPages(first: u32, end: u32): void {
  for (let page = first; page < end; page++) {
    memory.copy(rowOf(page), ZERO_ROW, rowBytes);
    store<u64>(digests + ((page as usize) << 3), zeroDigest);
    setUnknown(page, true);
    rootDigest += mix(zeroDigest, page);
  }
}

// @ts-ignore: decorator
@inline
export function rowOf(page: u32): usize {
  return rows + (page as usize) * rowBytes;
}

// @ts-ignore: decorator
@inline
export function digestAt(page: u32): usize {
  return digests + ((page as usize) << 3);
}

/** Takes over the page's content: bitmap of blocks that differ from the row before. */
// @ts-ignore: decorator
@inline
export function updatePage(page: u32, image: usize): u64 {
  const row = rowOf(page);
  const changed = identifyPage(image, row);
  if (changed != 0) setDigest(page, digestRow(row));
  return changed;
}

/** Takes over a page of zeros; true where it was another page before. */
export function updateZero(page: u32): bool {
  if (load<u64>(digestAt(page)) == zeroDigest) return false;
  memory.copy(rowOf(page), ZERO_ROW, rowBytes);
  setDigest(page, zeroDigest);
  return true;
}

/** Takes over a page by its digest alone, which the backup holds: no block of it is known here. */
export function adoptDigest(page: u32, digest: u64): void {
  setDigest(page, digest);
  const isZero = digest == zeroDigest;
  if (isZero) memory.copy(rowOf(page), ZERO_ROW, rowBytes);
  // The row of no page that there is: one that becomes zeros must not seem unchanged.
  else memory.fill(rowOf(page), 0xa5, rowBytes);
  setUnknown(page, !isZero);
}

export function setUnknown(page: u32, unknown: bool): void {
  store<u8>(states + page, unknown ? UNKNOWN : 0);
}

/**
 * True where the backup is known to hold the page as the index has it. Not for pages of this segment:
 * they have not arrived when a chunk is decoded that refers to them.
 */
// @ts-ignore: decorator
@inline
export function isHeld(page: u32): bool {
  const state = load<u8>(states + page);
  return state != UNKNOWN && state != segment;
}

/** True where the backup has staged the page in this epoch, if it holds it. */
export function isStaged(page: u32): bool {
  return load<u8>(states + page) >= epochSegment;
}

/** Like `updatePage`, where an unknown page counts as wholly changed. What changed is sent. */
// @ts-ignore: decorator
@inline
export function updateKnown(page: u32, image: usize): u64 {
  const changed = updatePage(page, image);
  const whole = load<u8>(states + page) == UNKNOWN ? wholePage : changed;
  if (whole != 0) store<u8>(states + page, segment);
  return whole;
}

// @ts-ignore: decorator
@inline
function setDigest(page: u32, digest: u64): void {
  const at = digestAt(page);
  rootDigest += mix(digest, page) - mix(load<u64>(at), page);
  store<u64>(at, digest);
}
