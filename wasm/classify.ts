// Compress the literal blocks of one page by the method that costs least (FGBI section 3.2): the
// time to send the bytes, plus the time to compute them. Sizes are measured on the page itself:
// zero-run and delta by exact counting, WKdm by doing it; what the general codec makes of a page is
// taken from what it made of the last groups. Nothing here reads a clock: costs are in "bytes on
// the link", so the same pages give the same chunks.
import { clearUnits, copyUnits } from './bytes';
import { blockShift } from './identify';
import { countMethod } from './stats';
import { wkdmEncode } from './wkdm';
import { zeroRunBytes, zeroRunEncode, zeroRunLeast } from './zero-run';

export const ZERO_RUN: u32 = 1;
export const DELTA: u32 = 2;
export const WKDM: u32 = 3;
export const STORED: u32 = 4;
export const GENERAL: u32 = 5;

const LITERALS: usize = memory.data(4096, 16);
const XORED: usize = memory.data(4096, 16);
/** For each value of a byte, 1 where it was seen. */
const SEEN: usize = memory.data(256, 16);

/** Ratios are 16.16: 65536 is "as large as before". */
const ONE: u32 = 65536;
/** WKdm is tried on every one of so many pages even where it rarely pays. */
const PROBE_EVERY: u32 = 16;
/**
 * A sample of 256 bytes with more different values than this does not compress. Measured on pages:
 * gzip data 135 to 172 (median 160), random 149 to 174; programs 17 to 152 (median 82), of which
 * lz4 leaves 0.7; text 29 to 38.
 */
const DISTINCT_MAX: u32 = 144;

let compression: bool = false;
let delta: bool = false;
let hasGeneral: bool = false;
/** What a raw byte costs to compress, in bytes on the link, 16.16. */
let wkdmCost: u32 = 0;
let generalCost: u32 = 0;
/** What the general codec made of recent groups, and WKdm of recent pages. */
let generalRatio: u32 = 0;
let wkdmRatio: u32 = 0;
/** How often WKdm was chosen of late when it was tried, 16.16. */
let wkdmChosen: u32 = 0;
let tries: u32 = 0;
let group: usize = 0;
/** Literal bytes waiting in the group. */
export let groupBytes: u32 = 0;
/** Bytes that `compress` wrote to the body. */
export let literalBytes: u32 = 0;

export function initClassify(
  groupAt: usize, compressOn: bool, deltaOn: bool, generalOn: bool,
  costOfWkdm: u32, costOfGeneral: u32,
): void {
  group = groupAt;
  compression = compressOn;
  delta = deltaOn;
  hasGeneral = generalOn;
  wkdmCost = costOfWkdm;
  generalCost = costOfGeneral;
  generalRatio = (ONE * 2) / 5;
  wkdmRatio = ONE / 2;
  wkdmChosen = ONE;
  tries = 0;
  groupBytes = 0;
}

/** Another general codec, or another link, from the next page on. No group is open. */
export function setGeneral(on: bool, costOfWkdm: u32, costOfGeneral: u32, ratio: u32): void {
  hasGeneral = on;
  wkdmCost = costOfWkdm;
  generalCost = costOfGeneral;
  generalRatio = ratio;
}

/** The group was compressed: `stored` of its bytes were left. It is empty again. */
export function groupClosed(stored: u32): void {
  const ratio = (((stored as u64) << 16) / (groupBytes as u64)) as u32;
  generalRatio = generalRatio - (generalRatio >> 2) + (ratio >> 2);
  groupBytes = 0;
}

/** Writes to `body` or to the group; returns the method. `kept` is 0 or the page as it was. */
export function compress(image: usize, literal: u64, kept: usize, body: usize): u32 {
  const raw = (popcnt<u64>(literal) as u32) << (blockShift as u32);
  const source = gather(image, literal, raw, LITERALS);
  const method = choose(source, raw, image, literal, kept, body);
  countMethod(method, raw, method == GENERAL ? 0 : literalBytes);
  return method;
}

function choose(
  source: usize, raw: u32, image: usize, literal: u64, kept: usize, body: usize,
): u32 {
  if (!compression) return copyStored(source, raw, body);
  const units = (raw >> 6) as usize;
  let best = raw;
  let method = STORED;
  if (zeroRunLeast(source, units) < (best as usize)) {
    const zeroRun = zeroRunBytes(source, units) as u32;
    if (zeroRun < best) {
      best = zeroRun;
      method = ZERO_RUN;
    }
  }
  if (delta && kept != 0) {
    gatherXor(image, kept, literal, XORED);
    const changed = zeroRunBytes(XORED, units) as u32;
    if (changed < best) {
      best = changed;
      method = DELTA;
    }
  }
  const general = hasGeneral ? scale(raw, generalRatio + generalCost) : raw;
  const hoped = scale(raw, wkdmRatio + wkdmCost);
  if (best > hoped && (wkdmChosen > ONE / 16 || (tries++ & (PROBE_EVERY - 1)) == 0)) {
    const size = (wkdmEncode(source, (raw >> 2) as usize, body) - body) as u32;
    wkdmRatio = smooth(wkdmRatio, (((size as u64) << 16) / (raw as u64)) as u32);
    const taken = size < best && size <= general;
    wkdmChosen = smooth(wkdmChosen, taken ? ONE : 0);
    if (taken) {
      literalBytes = size;
      return WKDM;
    }
  }
  if (hasGeneral && best > general && !looksRandom(source, raw)) {
    copyUnits(group + groupBytes, source, raw);
    groupBytes += raw;
    literalBytes = 0;
    return GENERAL;
  }
  if (method == STORED) return copyStored(source, raw, body);
  const from = method == DELTA ? XORED : source;
  literalBytes = (zeroRunEncode(from, units, body) - body) as u32;
  return method;
}

function copyStored(source: usize, raw: u32, body: usize): u32 {
  copyUnits(body, source, raw);
  literalBytes = raw;
  return STORED;
}

// @ts-ignore: decorator
@inline
function scale(raw: u32, ratio: u32): u32 {
  return (((raw as u64) * (ratio as u64)) >> 16) as u32;
}

// @ts-ignore: decorator
@inline
function smooth(average: u32, sample: u32): u32 {
  return average - (average >> 4) + (sample >> 4);
}

/** The chosen blocks side by side: where they lie already, or copied to `target`. */
function gather(image: usize, blocks: u64, raw: u32, target: usize): usize {
  if (raw == 4096) return image;
  const blockBytes = (1 as usize) << blockShift;
  for (; blocks != 0; blocks &= blocks - 1) {
    const from = image + ((ctz<u64>(blocks) as usize) << blockShift);
    copyUnits(target, from, blockBytes);
    target += blockBytes;
  }
  return LITERALS;
}

function gatherXor(image: usize, kept: usize, blocks: u64, target: usize): void {
  const blockBytes = (1 as usize) << blockShift;
  for (; blocks != 0; blocks &= blocks - 1) {
    const at = (ctz<u64>(blocks) as usize) << blockShift;
    for (let i: usize = 0; i < blockBytes; i += 16) {
      v128.store(target + i, v128.xor(v128.load(image + at + i), v128.load(kept + at + i)));
    }
    target += blockBytes;
  }
}

/** A sample of 256 bytes has almost as many different values as random bytes would have. */
function looksRandom(source: usize, raw: u32): bool {
  if (raw < 1024) return false;
  const step = (raw >> 8) as usize;
  clearUnits(SEEN, 256);
  const end = source + (raw as usize);
  for (; source < end; source += step) store<u8>(SEEN + (load<u8>(source) as usize), 1);
  let sum = v128.load(SEEN);
  for (let i: usize = 16; i < 256; i += 16) sum = i8x16.add(sum, v128.load(SEEN + i));
  // No lane is more than 16.
  const words = i16x8.extadd_pairwise_i8x16_u(sum);
  const longs = i32x4.dot_i16x8_s(words, i16x8.splat(1));
  const distinct = i32x4.extract_lane(longs, 0) + i32x4.extract_lane(longs, 1)
    + i32x4.extract_lane(longs, 2) + i32x4.extract_lane(longs, 3);
  return (distinct as u32) > DISTINCT_MAX;
}
