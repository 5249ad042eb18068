// Zero-run: offset and value of what is not zero (FGBI section 3.2, first kind of block).
// For each 64 bytes: a byte with one bit for each 8-byte word that is not zero; then for each such
// word a byte with one bit for each byte that is not zero, and those bytes.

/** For each mask of 8 bits, the shuffle that moves the chosen bytes together. */
const PACK: usize = memory.data(2048, 16);
/** For each mask of 8 bits, the shuffle that moves them back. */
const SPREAD: usize = memory.data(2048, 16);

export function initZeroRun(): void {
  for (let mask: usize = 0; mask < 256; mask++) {
    let rank: usize = 0;
    store<u64>(PACK + (mask << 3), ~(0 as u64));
    for (let bit: usize = 0; bit < 8; bit++) {
      const chosen = ((mask >> bit) & 1) != 0;
      store<u8>(SPREAD + (mask << 3) + bit, chosen ? (rank as u8) : 0x80);
      if (chosen) {
        store<u8>(PACK + (mask << 3) + rank, bit as u8);
        rank += 1;
      }
    }
  }
}

/** One bit for each of 64 bytes that is not zero. */
// @ts-ignore: decorator
@inline
function nonZeroBytes(p: usize): u64 {
  const zero = i64x2.splat(0);
  const a = i8x16.bitmask(i8x16.eq(v128.load(p), zero)) as u32 as u64;
  const b = i8x16.bitmask(i8x16.eq(v128.load(p, 16), zero)) as u32 as u64;
  const c = i8x16.bitmask(i8x16.eq(v128.load(p, 32), zero)) as u32 as u64;
  const d = i8x16.bitmask(i8x16.eq(v128.load(p, 48), zero)) as u32 as u64;
  return ~(a | (b << 16) | (c << 32) | (d << 48));
}

/** The lowest bit of each byte of the result: whether that byte of `mask` is not zero. */
// @ts-ignore: decorator
@inline
function nonZeroWords(mask: u64): u64 {
  let words = mask | ((mask >> 4) & 0x0f0f0f0f0f0f0f0f);
  words |= (words >> 2) & 0x3f3f3f3f3f3f3f3f;
  words |= (words >> 1) & 0x7f7f7f7f7f7f7f7f;
  return words & 0x0101010101010101;
}

/** Exact bytes that `zeroRunEncode` would write for `units` times 64 bytes at `source`. */
export function zeroRunBytes(source: usize, units: usize): usize {
  let bytes: u64 = units as u64;
  const end = source + (units << 6);
  for (; source < end; source += 64) {
    const mask = nonZeroBytes(source);
    bytes += popcnt<u64>(mask) + popcnt<u64>(nonZeroWords(mask));
  }
  return bytes as usize;
}

/**
 * A number that `zeroRunBytes` is not below, for at most 64 units, at a quarter of its cost: a byte
 * for each unit, each byte that is not zero, and each eight of those.
 */
export function zeroRunLeast(source: usize, units: usize): usize {
  const zero = i64x2.splat(0);
  // Each lane counts one zero a unit at most.
  let a = zero;
  let b = zero;
  let c = zero;
  let d = zero;
  const end = source + (units << 6);
  for (; source < end; source += 64) {
    a = i8x16.sub(a, i8x16.eq(v128.load(source), zero));
    b = i8x16.sub(b, i8x16.eq(v128.load(source, 16), zero));
    c = i8x16.sub(c, i8x16.eq(v128.load(source, 32), zero));
    d = i8x16.sub(d, i8x16.eq(v128.load(source, 48), zero));
  }
  const ab = i16x8.extadd_pairwise_i8x16_u(i8x16.add(a, b));
  const cd = i16x8.extadd_pairwise_i8x16_u(i8x16.add(c, d));
  const sums = i32x4.dot_i16x8_s(i16x8.add(ab, cd), i16x8.splat(1));
  const zeros = i32x4.extract_lane(sums, 0) + i32x4.extract_lane(sums, 1)
    + i32x4.extract_lane(sums, 2) + i32x4.extract_lane(sums, 3);
  const others = (units << 6) - (zeros as usize);
  return units + others + (others >> 3);
}

/** Writes to `target` (which needs 8 bytes to spare); returns where it ended. */
export function zeroRunEncode(source: usize, units: usize, target: usize): usize {
  const end = source + (units << 6);
  for (; source < end; source += 64) {
    const mask = nonZeroBytes(source);
    const words = nonZeroWords(mask);
    let bits = ((words * 0x0102040810204080) >> 56) as u32;
    store<u8>(target, bits as u8);
    target += 1;
    while (bits != 0) {
      const word = ctz<u32>(bits) as usize;
      bits &= bits - 1;
      const bytes = ((mask >> ((word as u64) << 3)) & 0xff) as usize;
      const value = v128.load64_zero(source + (word << 3));
      const packed = i8x16.swizzle(value, v128.load64_zero(PACK + (bytes << 3)));
      store<u8>(target, bytes as u8);
      store<u64>(target, i64x2.extract_lane(packed, 0), 1);
      target += 1 + popcnt<u32>(bytes as u32);
    }
  }
  return target;
}

/**
 * Restores `units` times 64 bytes to `target`. Returns where the input ended, or 0 where it would
 * go past `end`. Reads up to 9 bytes beyond `end`, writes only the units.
 */
export function zeroRunDecode(source: usize, end: usize, units: usize, target: usize): usize {
  const zero = i64x2.splat(0);
  for (let unit: usize = 0; unit < units; unit++) {
    if (source >= end) return 0;
    let bits = load<u8>(source) as u32;
    source += 1;
    v128.store(target, zero);
    v128.store(target, zero, 16);
    v128.store(target, zero, 32);
    v128.store(target, zero, 48);
    while (bits != 0) {
      const word = ctz<u32>(bits) as usize;
      bits &= bits - 1;
      if (source >= end) return 0;
      const bytes = load<u8>(source) as usize;
      const packed = v128.load64_zero(source + 1);
      const value = i8x16.swizzle(packed, v128.load64_zero(SPREAD + (bytes << 3)));
      store<u64>(target + (word << 3), i64x2.extract_lane(value, 0));
      source += 1 + popcnt<u32>(bytes as u32);
    }
    if (source > end) return 0;
    target += 64;
  }
  return source;
}
