// Decode: from page records (layout: shared/codec/chunk.ts) to whole pages. The bytes may come from
// anywhere: everything is checked before it is used, and the first fault ends the chunk.
import { clearUnits, copyUnits, xorInto } from './bytes';
import { blockShift, blocksPerPage, digestRow, identifyPage, wholePage } from './identify';
import { DELTA, GENERAL, STORED, WKDM, ZERO_RUN } from './classify';
import { wkdmDecode } from './wkdm';
import { zeroRunDecode } from './zero-run';

const WHOLE: u32 = 8;
const HAS_ZERO: u32 = 16;
const HAS_SHARED: u32 = 32;
const REST_ZERO: u32 = 64;
const REST_SHARED: u32 = 128;

const LITERALS: usize = memory.data(4096 + 64, 16);
const ROW: usize = memory.data(512, 16);

let pageCount: u32 = 0;
let records: usize = 0;
let images: usize = 0;
let sources: usize = 0;
let stamps: usize = 0;
let serial: u32 = 0;
/** Where the input was when a function found a fault in it. */
let faultAt: usize = 0;
let input: usize = 0;

/**
 * `recordsAt`: 40 bytes a page of the chunk; `stampsAt`: u32 a page of RAM, zero.
 * A record: u32 page, u32 flags, u64 changed, u64 zero, u64 shared, u64 literal.
 */
export function initDecode(
  count: u32, recordsAt: usize, imagesAt: usize, sourcesAt: usize, stampsAt: usize,
): void {
  pageCount = count;
  records = recordsAt;
  images = imagesAt;
  sources = sourcesAt;
  stamps = stampsAt;
  serial = 0;
}

export function decodeFault(): usize {
  return faultAt;
}

/**
 * Reads `count` heads from `at` to `end`, exactly. Returns the literal bytes that the general codec
 * must provide, or -1.
 */
export function decodeHeads(at: usize, end: usize, count: u32): i32 {
  serial += 1;
  let page: u32 = 0;
  let general: i32 = 0;
  const bitmapBytes = blocksPerPage >> 3;
  for (let i: u32 = 0; i < count; i++) {
    faultAt = at;
    input = at;
    if (!readVarint(end)) return -1;
    page += (varint >> 1) ^ (0 - (varint & 1));
    at = input;
    if (page >= pageCount || at >= end) return -1;
    const stamp = stamps + ((page as usize) << 2);
    if (load<u32>(stamp) == serial) return -1;
    store<u32>(stamp, serial);
    const flags = load<u8>(at) as u32;
    at += 1;
    let changed = wholePage;
    let zero: u64 = 0;
    let shared: u64 = 0;
    const method = flags & 7;
    if ((flags & WHOLE) == 0) {
      changed = load<u64>(at) & wholePage;
      at += bitmapBytes;
    }
    if ((flags & HAS_ZERO) != 0) {
      zero = load<u64>(at) & wholePage;
      at += bitmapBytes;
    }
    if ((flags & HAS_SHARED) != 0) {
      shared = load<u64>(at) & wholePage;
      at += bitmapBytes;
    }
    if (at > end || method > GENERAL || changed == 0) return -1;
    if ((zero & shared) != 0 || ((zero | shared) & ~changed) != 0) return -1;
    const rest = changed & ~(zero | shared);
    if ((flags & (REST_ZERO | REST_SHARED)) == REST_ZERO) zero |= rest;
    else if ((flags & (REST_ZERO | REST_SHARED)) == REST_SHARED) shared |= rest;
    else if ((flags & (REST_ZERO | REST_SHARED)) != 0) return -1;
    const literal = changed & ~(zero | shared);
    if ((literal == 0) != (method == 0)) return -1;
    if (method == GENERAL) general += (popcnt<u64>(literal) as i32) << (blockShift as i32);
    const record = records + (i as usize) * 40;
    store<u32>(record, page);
    // A page that is not wholly there, or is a difference, needs what it was before.
    store<u32>(record, method | (((changed != wholePage || method == DELTA) as u32) << 3), 4);
    store<u64>(record, changed, 8);
    store<u64>(record, zero, 16);
    store<u64>(record, shared, 24);
    store<u64>(record, literal, 32);
  }
  faultAt = at;
  return at == end ? general : -1;
}

/**
 * Applies `count` bodies from `at` to `end`, exactly, to the images. `general` is the literals of
 * the general codec, as many as `decodeHeads` said. False for a fault.
 */
export function decodeBodies(
  at: usize, end: usize, count: u32, sourceCount: u32, general: usize,
): bool {
  const blockBytes = (1 as usize) << blockShift;
  for (let i: u32 = 0; i < count; i++) {
    faultAt = at;
    const record = records + (i as usize) * 40;
    const image = images + ((i as usize) << 12);
    const method = load<u32>(record, 4) & 7;
    const literal = load<u64>(record, 32);
    input = at;
    // References are written first but may name this page's own literals: find their end.
    const shared = load<u64>(record, 24);
    if (shared != 0 && !skipReferences(end, shared)) return false;
    const literalsAt = input;
    const raw = (popcnt<u64>(literal) as usize) << blockShift;
    let from = LITERALS;
    let next = literalsAt;
    if (method == ZERO_RUN || method == DELTA) {
      next = zeroRunDecode(literalsAt, end, raw >> 6, LITERALS);
    } else if (method == WKDM) {
      next = wkdmDecode(literalsAt, end, raw >> 2, LITERALS);
    } else if (method == STORED) {
      from = literalsAt;
      next = literalsAt + raw;
    } else if (method == GENERAL) {
      from = general;
      general += raw;
    }
    if (next == 0 || next > end) return false;
    for (let left = literal; left != 0; left &= left - 1) {
      const target = image + ((ctz<u64>(left) as usize) << blockShift);
      if (method == DELTA) xorInto(target, from, blockBytes);
      else copyUnits(target, from, blockBytes);
      from += blockBytes;
    }
    for (let left = load<u64>(record, 16); left != 0; left &= left - 1) {
      clearUnits(image + ((ctz<u64>(left) as usize) << blockShift), blockBytes);
    }
    input = at;
    if (shared != 0 && !applyReferences(end, i, sourceCount, shared)) return false;
    at = next;
  }
  faultAt = at;
  return at == end;
}

/** Digests of `count` images, 8 bytes each. */
export function digestImages(from: usize, count: u32, target: usize): void {
  for (let i: usize = 0; i < (count as usize); i++) {
    identifyPage(from + (i << 12), ROW);
    store<u64>(target + (i << 3), digestRow(ROW));
  }
}

function skipReferences(end: usize, shared: u64): bool {
  let left = popcnt<u64>(shared) as u32;
  while (left != 0) {
    if (!readVarint(end)) return false;
    if (input + 2 > end) return false;
    const run = load<u8>(input, 1) as u32;
    input += 2;
    if (run == 0 || run > left) return false;
    left -= run;
  }
  return true;
}

/** Follows what `skipReferences` found well formed. */
function applyReferences(end: usize, record: u32, sourceCount: u32, shared: u64): bool {
  const blockBytes = (1 as usize) << blockShift;
  while (shared != 0) {
    readVarint(end);
    const name = varint;
    const number = name >> 1;
    const first = load<u8>(input) as u32;
    const run = load<u8>(input, 1) as u32;
    input += 2;
    const own = (name & 1) == 0 && number == record;
    if ((name & 1) != 0 ? number >= sourceCount : number > record) return false;
    if (first + run > (blocksPerPage as u32)) return false;
    const from = ((name & 1) != 0 ? sources : images) + ((number as usize) << 12);
    for (let i: u32 = 0; i < run; i++) {
      const block = ctz<u64>(shared) as u32;
      shared &= shared - 1;
      if (own && first + i >= block) return false;
      copyUnits(
        images + ((record as usize) << 12) + ((block as usize) << blockShift),
        from + (((first + i) as usize) << blockShift),
        blockBytes,
      );
    }
  }
  return true;
}

let varint: u32 = 0;

/** Reads up to 5 bytes at `input` into `varint`. */
function readVarint(end: usize): bool {
  let value: u32 = 0;
  let shift: u32 = 0;
  while (shift < 35) {
    if (input >= end) return false;
    const byte = load<u8>(input) as u32;
    input += 1;
    value |= (byte & 127) << shift;
    if ((byte & 128) == 0) {
      varint = value;
      return true;
    }
    shift += 7;
  }
  return false;
}
