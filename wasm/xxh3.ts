// XXH3_64bits_withSecret for the lengths that occur here: 64 and 128 bytes (blocks, and the block
// hashes of a page at 256-byte blocks) by the "17 to 128 bytes" path, 241 to 1024 bytes by the
// long path without a scramble. Equal to xxHash 0.8 for any 192-byte secret and seed 0.
// Source: xxHash, doc/xxhash_spec.md and xxhash.h (BSD-2-Clause), written anew for SIMD.

/** The session's secret: 192 bytes. */
export const SECRET: usize = memory.data(192, 16);

const PRIME32_1: u64 = 0x9e3779b1;
const PRIME32_2: u64 = 0x85ebca77;
const PRIME32_3: u64 = 0xc2b2ae3d;
const PRIME64_1: u64 = 0x9e3779b185ebca87;
const PRIME64_2: u64 = 0xc2b2ae3d27d4eb4f;
const PRIME64_3: u64 = 0x165667b19e3779f9;
const PRIME64_4: u64 = 0x85ebca77c2b2ae63;
const PRIME64_5: u64 = 0x27d4eb2f165667c5;
const PRIME_MX1: u64 = 0x165667919e3779f9;

/** Two 64x64 to 128 bit products at once, each folded to 64 bits: lanes of `a`, lanes of `b`. */
// @ts-ignore: decorator
@inline
function foldPair(a: v128, b: v128): v128 {
  const low = i64x2.splat(0xffffffff);
  const x = v128.shuffle<i32>(a, b, 0, 4, 1, 5);
  const y = v128.shuffle<i32>(a, b, 2, 6, 3, 7);
  const z = v128.shuffle<i32>(y, y, 2, 3, 0, 1);
  const ll = i64x2.extmul_low_i32x4_u(x, y);
  const hh = i64x2.extmul_high_i32x4_u(x, y);
  const lh = i64x2.extmul_low_i32x4_u(x, z);
  const hl = i64x2.extmul_high_i32x4_u(x, z);
  const cross = i64x2.add(i64x2.add(i64x2.shr_u(ll, 32), v128.and(hl, low)), lh);
  const upper = i64x2.add(i64x2.add(i64x2.shr_u(hl, 32), i64x2.shr_u(cross, 32)), hh);
  const lower = v128.or(i64x2.shl(cross, 32), v128.and(ll, low));
  return v128.xor(lower, upper);
}

// @ts-ignore: decorator
@inline
function laneSum(v: v128): u64 {
  return (i64x2.extract_lane(v, 0) as u64) + (i64x2.extract_lane(v, 1) as u64);
}

// @ts-ignore: decorator
@inline
function avalanche(hash: u64): u64 {
  hash ^= hash >> 37;
  hash *= PRIME_MX1;
  return hash ^ (hash >> 32);
}

/** 64 bytes at `p`; `s0`…`s3` are the first 64 bytes of the secret, held in registers. */
// @ts-ignore: decorator
@inline
export function xxh3Of64(p: usize, s0: v128, s1: v128, s2: v128, s3: v128): u64 {
  const a = foldPair(v128.xor(v128.load(p), s0), v128.xor(v128.load(p, 48), s1));
  const b = foldPair(v128.xor(v128.load(p, 16), s2), v128.xor(v128.load(p, 32), s3));
  return avalanche(64 * PRIME64_1 + laneSum(i64x2.add(a, b)));
}

/** 128 bytes at `p`. */
// @ts-ignore: decorator
@inline
export function xxh3Of128(p: usize): u64 {
  let sum = foldPair(
    v128.xor(v128.load(p), v128.load(SECRET)),
    v128.xor(v128.load(p, 112), v128.load(SECRET, 16)),
  );
  sum = i64x2.add(sum, foldPair(
    v128.xor(v128.load(p, 16), v128.load(SECRET, 32)),
    v128.xor(v128.load(p, 96), v128.load(SECRET, 48)),
  ));
  sum = i64x2.add(sum, foldPair(
    v128.xor(v128.load(p, 32), v128.load(SECRET, 64)),
    v128.xor(v128.load(p, 80), v128.load(SECRET, 80)),
  ));
  sum = i64x2.add(sum, foldPair(
    v128.xor(v128.load(p, 48), v128.load(SECRET, 96)),
    v128.xor(v128.load(p, 64), v128.load(SECRET, 112)),
  ));
  return avalanche(128 * PRIME64_1 + laneSum(sum));
}

/** 241 to 1024 bytes at `p`, `length` a multiple of 64: one block of stripes, no scramble. */
// @ts-ignore: decorator
@inline
export function xxh3OfLong(p: usize, length: usize): u64 {
  let acc0 = i64x2(PRIME32_3, PRIME64_1);
  let acc1 = i64x2(PRIME64_2, PRIME64_3);
  let acc2 = i64x2(PRIME64_4, PRIME32_2);
  let acc3 = i64x2(PRIME64_5, PRIME32_1);
  const last = p + length - 64;
  let secret = SECRET;
  while (true) {
    // The last stripe's secret lies apart from the others'.
    if (p == last) secret = SECRET + 121;
    const d0 = v128.load(p);
    const d1 = v128.load(p, 16);
    const d2 = v128.load(p, 32);
    const d3 = v128.load(p, 48);
    const k0 = v128.xor(d0, v128.load(secret));
    const k1 = v128.xor(d1, v128.load(secret, 16));
    const k2 = v128.xor(d2, v128.load(secret, 32));
    const k3 = v128.xor(d3, v128.load(secret, 48));
    const even01 = v128.shuffle<i32>(k0, k1, 0, 2, 4, 6);
    const odd01 = v128.shuffle<i32>(k0, k1, 1, 3, 5, 7);
    const even23 = v128.shuffle<i32>(k2, k3, 0, 2, 4, 6);
    const odd23 = v128.shuffle<i32>(k2, k3, 1, 3, 5, 7);
    acc0 = i64x2.add(acc0, v128.shuffle<i64>(d0, d0, 1, 0));
    acc1 = i64x2.add(acc1, v128.shuffle<i64>(d1, d1, 1, 0));
    acc2 = i64x2.add(acc2, v128.shuffle<i64>(d2, d2, 1, 0));
    acc3 = i64x2.add(acc3, v128.shuffle<i64>(d3, d3, 1, 0));
    acc0 = i64x2.add(acc0, i64x2.extmul_low_i32x4_u(even01, odd01));
    acc1 = i64x2.add(acc1, i64x2.extmul_high_i32x4_u(even01, odd01));
    acc2 = i64x2.add(acc2, i64x2.extmul_low_i32x4_u(even23, odd23));
    acc3 = i64x2.add(acc3, i64x2.extmul_high_i32x4_u(even23, odd23));
    if (p == last) break;
    p += 64;
    secret += 8;
  }
  const a = foldPair(v128.xor(acc0, v128.load(SECRET, 11)), v128.xor(acc1, v128.load(SECRET, 27)));
  const b = foldPair(v128.xor(acc2, v128.load(SECRET, 43)), v128.xor(acc3, v128.load(SECRET, 59)));
  return avalanche((length as u64) * PRIME64_1 + laneSum(i64x2.add(a, b)));
}
