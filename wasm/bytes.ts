// Moving short runs of bytes without a call out of WASM (memory.copy and memory.fill make one).

/** Copies `length` bytes, a multiple of 64. */
// @ts-ignore: decorator
@inline
export function copyUnits(target: usize, source: usize, length: usize): void {
  for (let i: usize = 0; i < length; i += 64) {
    const a = v128.load(source + i);
    const b = v128.load(source + i, 16);
    const c = v128.load(source + i, 32);
    const d = v128.load(source + i, 48);
    v128.store(target + i, a);
    v128.store(target + i, b, 16);
    v128.store(target + i, c, 32);
    v128.store(target + i, d, 48);
  }
}

/** Copies `length` bytes and up to 15 more. */
// @ts-ignore: decorator
@inline
export function copyLoosely(target: usize, source: usize, length: usize): void {
  for (let i: usize = 0; i < length; i += 16) v128.store(target + i, v128.load(source + i));
}

/** Zeroes `length` bytes, a multiple of 64. */
// @ts-ignore: decorator
@inline
export function clearUnits(target: usize, length: usize): void {
  const zero = i64x2.splat(0);
  for (let i: usize = 0; i < length; i += 64) {
    v128.store(target + i, zero);
    v128.store(target + i, zero, 16);
    v128.store(target + i, zero, 32);
    v128.store(target + i, zero, 48);
  }
}

/** `target` = `target` XOR `source` over `length` bytes, a multiple of 16. */
// @ts-ignore: decorator
@inline
export function xorInto(target: usize, source: usize, length: usize): void {
  for (let i: usize = 0; i < length; i += 16) {
    v128.store(target + i, v128.xor(v128.load(target + i), v128.load(source + i)));
  }
}
