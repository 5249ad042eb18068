// XXH64, seed 0, of lengths that are a multiple of 32 bytes (blocks of 64, 128, 256 bytes).
// Source: xxHash, doc/xxhash_spec.md (BSD-2-Clause).

const PRIME64_1: u64 = 0x9e3779b185ebca87;
const PRIME64_2: u64 = 0xc2b2ae3d27d4eb4f;
const PRIME64_3: u64 = 0x165667b19e3779f9;
const PRIME64_4: u64 = 0x85ebca77c2b2ae63;

// @ts-ignore: decorator
@inline
function round(acc: u64, lane: u64): u64 {
  return rotl<u64>(acc + lane * PRIME64_2, 31) * PRIME64_1;
}

// @ts-ignore: decorator
@inline
function mergeRound(hash: u64, acc: u64): u64 {
  return (hash ^ round(0, acc)) * PRIME64_1 + PRIME64_4;
}

// @ts-ignore: decorator
@inline
export function xxh64Of(p: usize, length: usize): u64 {
  let a: u64 = PRIME64_1 + PRIME64_2;
  let b: u64 = PRIME64_2;
  let c: u64 = 0;
  let d: u64 = 0 - PRIME64_1;
  const end = p + length;
  while (p < end) {
    a = round(a, load<u64>(p));
    b = round(b, load<u64>(p, 8));
    c = round(c, load<u64>(p, 16));
    d = round(d, load<u64>(p, 24));
    p += 32;
  }
  let hash = rotl<u64>(a, 1) + rotl<u64>(b, 7) + rotl<u64>(c, 12) + rotl<u64>(d, 18);
  hash = mergeRound(hash, a);
  hash = mergeRound(hash, b);
  hash = mergeRound(hash, c);
  hash = mergeRound(hash, d);
  hash += length as u64;
  hash ^= hash >> 33;
  hash *= PRIME64_2;
  hash ^= hash >> 29;
  hash *= PRIME64_3;
  return hash ^ (hash >> 32);
}
