// WKdm-style compression of 32-bit words (Wilson, Kaplan; FGBI section 3.2, second kind). Each word
// is zero, equal to a dictionary entry, equal in its upper 22 bits to one, or none of these.
// Words at even and odd places have dictionaries of their own: halves of 64-bit values are alike
// among themselves, and two chains of dependent loads run beside each other.
//
//   tags     2 bits a word, planar: byte i holds tags i, i+q, i+2q, i+3q (q = a quarter of all)
//   indices  4 bits for each equal or nearly equal word, planar in two halves
//   low      8 lowest bits of each nearly equal word
//   middle   2 bits above those, planar in four quarters
//   misses   4 bytes for each word that matched nothing

import { clearUnits, copyLoosely } from './bytes';

const HASH: i32 = 0x9e3779b1 as i32;
const EQUAL: i8 = 1;
const NEAR: i8 = 2;
const MISS: i8 = 3;

/** 16 entries of a word for even and one for odd places; the 17th takes what zeros store. */
const DICTIONARY: usize = memory.data(192, 16);
const NOWHERE: i32 = 16;

// For 1024 words, with room for whole vectors past the end.
const TAGS: usize = memory.data(1088, 16);
const INDICES: usize = memory.data(1088, 16);
const LOWS: usize = memory.data(2176, 16);
const LOW: usize = memory.data(1088, 16);
const MIDDLE: usize = memory.data(1088, 16);
const MISSES: usize = memory.data(4352, 16);

// For each choice of 4 lanes, shuffles that move the chosen lanes' bytes together, and back.
const PACK_WORDS: usize = memory.data(256, 16);
const PACK_HALVES: usize = memory.data(256, 16);
const PACK_BYTES: usize = memory.data(256, 16);
const SPREAD_WORDS: usize = memory.data(256, 16);
const SPREAD_HALVES: usize = memory.data(256, 16);
const SPREAD_BYTES: usize = memory.data(256, 16);

export function initWkdm(): void {
  for (let mask: usize = 0; mask < 16; mask++) {
    fillShuffles(PACK_WORDS + (mask << 4), SPREAD_WORDS + (mask << 4), mask, 4);
    fillShuffles(PACK_HALVES + (mask << 4), SPREAD_HALVES + (mask << 4), mask, 2);
    fillShuffles(PACK_BYTES + (mask << 4), SPREAD_BYTES + (mask << 4), mask, 1);
  }
}

function fillShuffles(pack: usize, spread: usize, mask: usize, width: usize): void {
  memory.fill(pack, 0x80, 16);
  memory.fill(spread, 0x80, 16);
  let rank: usize = 0;
  for (let lane: usize = 0; lane < 4; lane++) {
    if (((mask >> lane) & 1) == 0) continue;
    for (let i: usize = 0; i < width; i++) {
      store<u8>(pack + rank * width + i, (lane * 4 + i) as u8);
      store<u8>(spread + lane * 4 + i, (rank * width + i) as u8);
    }
    rank += 1;
  }
}

/** Places of the dictionary entries that four words hash to. */
// @ts-ignore: decorator
@inline
function hashWords(words: v128): v128 {
  return i32x4.shr_u(i32x4.mul(i32x4.shr_u(words, 10), i32x4.splat(HASH)), 28);
}

/**
 * Compresses `words` (a multiple of 16, at most 1024); returns where it ended in `target`. Four
 * words at a time: all are looked up before any of them enters the dictionary.
 */
export function wkdmEncode(source: usize, words: usize, target: usize): usize {
  clearUnits(DICTIONARY, 192);
  const none = i64x2.splat(0);
  const three = i32x4.splat(3);
  const lowMask = i32x4.splat(1023);
  const nowhere = i32x4.splat(NOWHERE);
  let tags = TAGS;
  let indices = INDICES;
  let lows = LOWS;
  let misses = MISSES;
  const end = source + (words << 2);
  while (source < end) {
    const w = v128.load(source);
    const zero = i32x4.eq(w, none);
    const places = v128.bitselect(nowhere, hashWords(w), zero);
    const a = DICTIONARY + ((i32x4.extract_lane(places, 0) as usize) << 3);
    const b = DICTIONARY + ((i32x4.extract_lane(places, 1) as usize) << 3);
    const c = DICTIONARY + ((i32x4.extract_lane(places, 2) as usize) << 3);
    const d = DICTIONARY + ((i32x4.extract_lane(places, 3) as usize) << 3);
    let known = v128.load32_zero(a);
    known = v128.load_lane<u32>(b, known, 1, 4);
    known = v128.load_lane<u32>(c, known, 2);
    known = v128.load_lane<u32>(d, known, 3, 4);
    v128.store_lane<u32>(a, w, 0);
    v128.store_lane<u32>(b, w, 1, 4);
    v128.store_lane<u32>(c, w, 2);
    v128.store_lane<u32>(d, w, 3, 4);
    const x = v128.xor(w, known);
    const equal = i32x4.eq(x, none);
    const near = i32x4.eq(i32x4.shr_u(x, 10), none);
    const tag = v128.andnot(i32x4.add(three, i32x4.add(near, equal)), zero);
    v128.store_lane<u32>(tags, i8x16.swizzle(tag, v128.load(PACK_BYTES + 240)), 0);
    const zeroBits = i32x4.bitmask(zero) as usize;
    const equalBits = (i32x4.bitmask(equal) as usize) & ~zeroBits;
    const nearBits = (i32x4.bitmask(near) as usize) & ~zeroBits;
    const onlyNear = nearBits & ~equalBits;
    const missBits: usize = 15 ^ (nearBits | zeroBits);
    const packedPlaces = i8x16.swizzle(places, v128.load(PACK_BYTES + (nearBits << 4)));
    v128.store_lane<u32>(indices, packedPlaces, 0);
    indices += popcnt<u32>(nearBits as u32);
    const lowBits = v128.and(w, lowMask);
    v128.store_lane<u64>(lows, i8x16.swizzle(lowBits, v128.load(PACK_HALVES + (onlyNear << 4))), 0);
    lows += popcnt<u32>(onlyNear as u32) << 1;
    v128.store(misses, i8x16.swizzle(w, v128.load(PACK_WORDS + (missBits << 4))));
    misses += popcnt<u32>(missBits as u32) << 2;
    tags += 4;
    source += 16;
  }
  const indexCount = indices - INDICES;
  const nearCount = (lows - LOWS) >> 1;
  const missBytes = misses - MISSES;
  // Planar packing reads past the end: what is there must be zero.
  store<u32>(indices, 0);
  store<u64>(lows, 0);
  splitLows(nearCount);
  target = pack2(TAGS, words, target);
  target = pack4(INDICES, indexCount, target);
  copyLoosely(target, LOW, nearCount);
  target += nearCount;
  target = pack2(MIDDLE, nearCount, target);
  copyLoosely(target, MISSES, missBytes);
  return target + missBytes;
}

/**
 * Restores `words` words to `target`. Returns where the input ended, or 0 where it would go past
 * `end`. Reads up to 64 bytes beyond `end`.
 */
export function wkdmDecode(source: usize, end: usize, words: usize, target: usize): usize {
  const tagBytes = words >> 2;
  if (source + tagBytes > end) return 0;
  unpack2(source, words, TAGS);
  source += tagBytes;
  let indexCount: usize = 0;
  let nearCount: usize = 0;
  let missCount: usize = 0;
  const near = i8x16.splat(NEAR);
  const miss = i8x16.splat(MISS);
  const equal = i8x16.splat(EQUAL);
  for (let i: usize = 0; i < words; i += 16) {
    const tags = v128.load(TAGS + i);
    nearCount += popcnt<u32>(i8x16.bitmask(i8x16.eq(tags, near)) as u32);
    missCount += popcnt<u32>(i8x16.bitmask(i8x16.eq(tags, miss)) as u32);
    indexCount += popcnt<u32>(i8x16.bitmask(i8x16.eq(tags, equal)) as u32);
  }
  indexCount += nearCount;
  const indexBytes = (indexCount + 1) >> 1;
  const middleBytes = (nearCount + 3) >> 2;
  const missAt = source + indexBytes + nearCount + middleBytes;
  const next = missAt + (missCount << 2);
  if (next > end) return 0;
  unpack4(source, indexCount, INDICES);
  unpack2(source + indexBytes + nearCount, nearCount, MIDDLE);
  joinLows(source + indexBytes, nearCount);
  expand(missAt, words, target);
  return next;
}

function expand(misses: usize, words: usize, target: usize): void {
  clearUnits(DICTIONARY, 192);
  const none = i64x2.splat(0);
  const nearTag = i32x4.splat(NEAR);
  const missTag = i32x4.splat(MISS);
  const lowMask = i32x4.splat(1023);
  const nowhere = i32x4.splat(NOWHERE);
  let tags = TAGS;
  let indices = INDICES;
  let lows = LOWS;
  const end = TAGS + words;
  while (tags < end) {
    const bytes = v128.load32_zero(tags);
    const tag = i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(bytes));
    const zero = i32x4.eq(tag, none);
    const near = i32x4.eq(tag, nearTag);
    const miss = i32x4.eq(tag, missTag);
    const nearBits = i32x4.bitmask(near) as usize;
    const missBits = i32x4.bitmask(miss) as usize;
    const indexBits: usize = 15 ^ (missBits | (i32x4.bitmask(zero) as usize));
    const missed = i8x16.swizzle(v128.load(misses), v128.load(SPREAD_WORDS + (missBits << 4)));
    misses += popcnt<u32>(missBits as u32) << 2;
    const named = i8x16.swizzle(
      v128.load32_zero(indices), v128.load(SPREAD_BYTES + (indexBits << 4)),
    );
    indices += popcnt<u32>(indexBits as u32);
    const low = i8x16.swizzle(v128.load64_zero(lows), v128.load(SPREAD_HALVES + (nearBits << 4)));
    lows += popcnt<u32>(nearBits as u32) << 1;
    // A lane is zero in `named` or in the hash of `missed`, unless it is a zero word.
    const places = v128.bitselect(nowhere, v128.or(named, hashWords(missed)), zero);
    const a = DICTIONARY + ((i32x4.extract_lane(places, 0) as usize) << 3);
    const b = DICTIONARY + ((i32x4.extract_lane(places, 1) as usize) << 3);
    const c = DICTIONARY + ((i32x4.extract_lane(places, 2) as usize) << 3);
    const d = DICTIONARY + ((i32x4.extract_lane(places, 3) as usize) << 3);
    let known = v128.load32_zero(a);
    known = v128.load_lane<u32>(b, known, 1, 4);
    known = v128.load_lane<u32>(c, known, 2);
    known = v128.load_lane<u32>(d, known, 3, 4);
    // Low bits are replaced where the tag is near; all bits where it is a miss.
    const replaced = v128.or(v128.and(near, lowMask), miss);
    const w = v128.or(v128.andnot(known, replaced), v128.or(low, missed));
    v128.store_lane<u32>(a, w, 0);
    v128.store_lane<u32>(b, w, 1, 4);
    v128.store_lane<u32>(c, w, 2);
    v128.store_lane<u32>(d, w, 3, 4);
    v128.store(target, v128.andnot(w, zero));
    tags += 4;
    target += 16;
  }
}

/** LOWS, 16 bits each, into LOW (8 bits) and MIDDLE (2 bits). */
function splitLows(count: usize): void {
  const low = i16x8.splat(255);
  for (let i: usize = 0; i < count; i += 16) {
    const a = v128.load(LOWS + (i << 1));
    const b = v128.load(LOWS + (i << 1), 16);
    v128.store(LOW + i, i8x16.narrow_i16x8_u(v128.and(a, low), v128.and(b, low)));
    v128.store(MIDDLE + i, i8x16.narrow_i16x8_u(i16x8.shr_u(a, 8), i16x8.shr_u(b, 8)));
  }
  store<u32>(MIDDLE + count, 0);
}

function joinLows(low: usize, count: usize): void {
  for (let i: usize = 0; i < count; i += 16) {
    const a = v128.load(low + i);
    const b = v128.load(MIDDLE + i);
    v128.store(LOWS + (i << 1), v128.shuffle<i8>(a, b,
      0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23));
    v128.store(LOWS + (i << 1), v128.shuffle<i8>(a, b,
      8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), 16);
  }
}

/** `count` values of 2 bits, planar. Writes up to 15 bytes past the end that it returns. */
function pack2(source: usize, count: usize, target: usize): usize {
  const q = (count + 3) >> 2;
  for (let i: usize = 0; i < q; i += 16) {
    const a = v128.load(source + i);
    const b = i8x16.shl(v128.load(source + i + q), 2);
    const c = i8x16.shl(v128.load(source + i + 2 * q), 4);
    const d = i8x16.shl(v128.load(source + i + 3 * q), 6);
    v128.store(target + i, v128.or(v128.or(a, b), v128.or(c, d)));
  }
  return target + q;
}

function unpack2(source: usize, count: usize, target: usize): void {
  const q = (count + 3) >> 2;
  const three = i8x16.splat(3);
  for (let plane: i32 = 0; plane < 4; plane++) {
    for (let i: usize = 0; i < q; i += 16) {
      v128.store(target + i, v128.and(i8x16.shr_u(v128.load(source + i), plane << 1), three));
    }
    target += q;
  }
}

function pack4(source: usize, count: usize, target: usize): usize {
  const q = (count + 1) >> 1;
  for (let i: usize = 0; i < q; i += 16) {
    const b = i8x16.shl(v128.load(source + i + q), 4);
    v128.store(target + i, v128.or(v128.load(source + i), b));
  }
  return target + q;
}

function unpack4(source: usize, count: usize, target: usize): void {
  const q = (count + 1) >> 1;
  const low = i8x16.splat(15);
  for (let i: usize = 0; i < q; i += 16) {
    v128.store(target + i, v128.and(v128.load(source + i), low));
  }
  for (let i: usize = 0; i < q; i += 16) {
    v128.store(target + q + i, i8x16.shr_u(v128.load(source + i), 4));
  }
}
