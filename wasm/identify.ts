// Identify: hash each block of a page, compare with the stored hashes, keep the new ones.
// A page's block hashes (its "row") lie side by side; the page digest is the hash of its row, and
// the RAM digest the sum over all pages of mix(page digest, page number), modulo 2^64: a changed
// page changes the sum by a difference, so it costs nothing to keep.
import { SECRET, xxh3Of128, xxh3Of64, xxh3OfLong } from './xxh3';
import { xxh64Of } from './xxh64';

export const PAGE_BYTES: usize = 4096;

/** log2 of the block size: 6, 7 or 8. */
export let blockShift: usize = 6;
/** Blocks of a page: 64, 32 or 16; also bits of a page's bitmap. */
export let blocksPerPage: usize = 64;
/** A bitmap with every block of a page. */
export let wholePage: u64 = ~(0 as u64);
let useXxh64: bool = false;

export function setBlocks(shift: usize, xxh64: bool): void {
  blockShift = shift;
  blocksPerPage = PAGE_BYTES >> shift;
  wholePage = blocksPerPage == 64 ? ~(0 as u64) : ((1 as u64) << (blocksPerPage as u64)) - 1;
  useXxh64 = xxh64;
}

/** Replaces the row by the hashes of the page; returns the bitmap of blocks that differ. */
export function identifyPage(page: usize, row: usize): u64 {
  if (useXxh64) return identifyXxh64(page, row);
  if (blockShift == 6) return identify64(page, row);
  if (blockShift == 7) return identify128(page, row);
  return identify256(page, row);
}

/** The page digest: XXH3 of the row's bytes. */
export function digestRow(row: usize): u64 {
  if (blockShift == 6) return xxh3OfLong(row, 512);
  if (blockShift == 7) return xxh3OfLong(row, 256);
  return xxh3Of128(row);
}

/** A page's share of the RAM digest. */
export function mix(digest: u64, page: u32): u64 {
  let x = digest ^ (((page as u64) + 1) * 0x9e3779b97f4a7c15);
  x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93;
  x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93;
  return x ^ (x >> 32);
}

function identify64(page: usize, row: usize): u64 {
  const s0 = v128.load(SECRET);
  const s1 = v128.load(SECRET, 16);
  const s2 = v128.load(SECRET, 32);
  const s3 = v128.load(SECRET, 48);
  let changed: u64 = 0;
  for (let block: usize = 0; block < 64; block++) {
    const hash = xxh3Of64(page + (block << 6), s0, s1, s2, s3);
    const at = row + (block << 3);
    changed |= ((hash != load<u64>(at)) as u64) << (block as u64);
    store<u64>(at, hash);
  }
  return changed;
}

function identify128(page: usize, row: usize): u64 {
  let changed: u64 = 0;
  for (let block: usize = 0; block < 32; block++) {
    const hash = xxh3Of128(page + (block << 7));
    const at = row + (block << 3);
    changed |= ((hash != load<u64>(at)) as u64) << (block as u64);
    store<u64>(at, hash);
  }
  return changed;
}

function identify256(page: usize, row: usize): u64 {
  let changed: u64 = 0;
  for (let block: usize = 0; block < 16; block++) {
    const hash = xxh3OfLong(page + (block << 8), 256);
    const at = row + (block << 3);
    changed |= ((hash != load<u64>(at)) as u64) << (block as u64);
    store<u64>(at, hash);
  }
  return changed;
}

function identifyXxh64(page: usize, row: usize): u64 {
  const blockBytes: usize = 1 << blockShift;
  let changed: u64 = 0;
  for (let block: usize = 0; block < blocksPerPage; block++) {
    const hash = xxh64Of(page + (block << blockShift), blockBytes);
    const at = row + (block << 3);
    changed |= ((hash != load<u64>(at)) as u64) << (block as u64);
    store<u64>(at, hash);
  }
  return changed;
}
