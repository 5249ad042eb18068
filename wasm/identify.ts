// Identify: hash each block of a page, compare with the stored hashes, keep the new ones.
// A page's block hashes (its "row") lie side by side; the page digest is the hash of its row, and
// the RAM digest the sum over all pages of mix(page digest, page number), modulo 2^64: a changed
// page changes the sum by a difference, so it costs nothing to keep.
import { hashRowOf64, xxh3Of128, xxh3OfLong } from './xxh3';
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

/** Compares two blocks, bit by bit. */
// @ts-ignore: decorator
@inline
export function isEqual(a: usize, b: usize): bool {
  const end = a + ((1 as usize) << blockShift);
  while (a < end) {
    const x = v128.xor(v128.load(a), v128.load(b));
    const y = v128.xor(v128.load(a, 16), v128.load(b, 16));
    const z = v128.xor(v128.load(a, 32), v128.load(b, 32));
    const w = v128.xor(v128.load(a, 48), v128.load(b, 48));
    if (v128.any_true(v128.or(v128.or(x, y), v128.or(z, w)))) return false;
    a += 64;
    b += 64;
  }
  return true;
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

/** The new row of a page of 64 blocks, before it is compared with the stored one. */
const NEW_ROW: usize = memory.data(512, 16);

function identify64(page: usize, row: usize): u64 {
  hashRowOf64(page, NEW_ROW, 64);
  let equal: u64 = 0;
  for (let i: usize = 0; i < 64; i += 16) {
    const from = NEW_ROW + (i << 3);
    const to = row + (i << 3);
    const a = equalFour(from, to);
    const b = equalFour(from + 32, to + 32);
    const c = equalFour(from + 64, to + 64);
    const d = equalFour(from + 96, to + 96);
    const all = i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d));
    equal |= (i8x16.bitmask(all) as u64) << (i as u64);
  }
  return ~equal;
}

/** Moves four hashes to `to`; all bits of a 32-bit lane say that one was there before. */
// @ts-ignore: decorator
@inline
function equalFour(from: usize, to: usize): v128 {
  const first = v128.load(from);
  const second = v128.load(from, 16);
  const a = i64x2.eq(first, v128.load(to));
  const b = i64x2.eq(second, v128.load(to, 16));
  v128.store(to, first);
  v128.store(to, second, 16);
  return v128.shuffle<i32>(a, b, 0, 2, 4, 6);
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
