// The hash index of a whole guest: per page a row of block hashes, a digest, and a flag.
// Invariant: `rootDigest` is the sum of mix(digest of p, p) over all pages p.
import { PAGE_BYTES, blocksPerPage, digestRow, identifyPage, mix, wholePage } from './identify';

/** Flag of a page: the backup may not hold what the index says. */
const UNKNOWN: u8 = 1;

const ZEROS: usize = memory.data(4096, 16);
const ZERO_ROW: usize = memory.data(512, 16);

export let pageCount: u32 = 0;
export let rowBytes: usize = 0;
export let zeroHash: u64 = 0;
export let zeroDigest: u64 = 0;
export let rootDigest: u64 = 0;
let rows: usize = 0;
let digests: usize = 0;
let flags: usize = 0;

/** Computes what depends on the secret and the block size. */
export function initZeroPage(): void {
  identifyPage(ZEROS, ZERO_ROW);
  rowBytes = blocksPerPage << 3;
  zeroHash = load<u64>(ZERO_ROW);
  zeroDigest = digestRow(ZERO_ROW);
}

/** Starts an index that has no page yet. */
export function initIndex(count: u32, rowsAt: usize, digestsAt: usize, flagsAt: usize): void {
  pageCount = count;
  rows = rowsAt;
  digests = digestsAt;
  flags = flagsAt;
  rootDigest = 0;
}

/** Once for each page that the index is to have: it is zero and unknown. */
export function clearPages(first: u32, end: u32): void {
  for (let page = first; page < end; page++) {
    memory.copy(rowOf(page), ZERO_ROW, rowBytes);
    store<u64>(digests + ((page as usize) << 3), zeroDigest);
    store<u8>(flags + page, UNKNOWN);
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

export function isUnknown(page: u32): bool {
  return load<u8>(flags + page) != 0;
}

export function setUnknown(page: u32, unknown: bool): void {
  store<u8>(flags + page, unknown ? UNKNOWN : 0);
}

/** Like `updatePage`, where an unknown page counts as wholly changed; it is known afterwards. */
// @ts-ignore: decorator
@inline
export function updateKnown(page: u32, image: usize): u64 {
  const changed = updatePage(page, image);
  if (load<u8>(flags + page) == 0) return changed;
  store<u8>(flags + page, 0);
  return wholePage;
}

// @ts-ignore: decorator
@inline
function setDigest(page: u32, digest: u64): void {
  const at = digestAt(page);
  rootDigest += mix(digest, page) - mix(load<u64>(at), page);
  store<u64>(at, digest);
}
