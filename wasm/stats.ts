// Counters of an epoch: 32 numbers (f64, so that bytes never overflow), read and cleared by the
// caller. Methods count in three rows: pages, literal bytes in, bytes out.

const STATS: usize = memory.data(256, 16);

export const STAT_PAGES: usize = 0;
export const STAT_BLOCKS: usize = 1;
export const STAT_ZERO: usize = 2;
export const STAT_SHARED: usize = 3;
export const STAT_BEFORE: usize = 4;
export const STAT_HELD: usize = 5;
const METHOD_PAGES: usize = 8;
const METHOD_IN: usize = 16;
const METHOD_OUT: usize = 24;

export function statsAt(): usize {
  return STATS;
}

// @ts-ignore: decorator
@inline
export function count(which: usize, by: u32): void {
  const at = STATS + (which << 3);
  store<f64>(at, load<f64>(at) + (by as f64));
}

export function countMethod(method: u32, bytesIn: u32, bytesOut: u32): void {
  count(METHOD_PAGES + (method as usize), 1);
  count(METHOD_IN + (method as usize), bytesIn);
  count(METHOD_OUT + (method as usize), bytesOut);
}
