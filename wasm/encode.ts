// Encode: from captured pages to page records of a chunk (layout: shared/codec/chunk.ts).
// One call goes on until the segment ends, the chunk is full or the group of literals for the
// general codec is full; the caller sees to that and calls again.
import { copyUnits } from './bytes';
import { compress, DELTA, groupBytes, literalBytes } from './classify';
import { enterHeld, forgetRead } from './held';
import { blockShift, blocksPerPage, wholePage } from './identify';
import { beginSegmentOfIndex, pageCount, rowOf, updateKnown } from './index';
import { admit, keptCopy, keptCount, keptSlot, markChanged, noteWritten } from './kept';
import {
  clearTable, indexKept, nameSlot, shareBlocks, sharedBefore, sharedBlocks, sharedHeld, writeVarint,
  zeroBlocks,
} from './share';
import { isAdmitted, noteKept } from './sampling';
import { areSourcesFull, clearSources, sourceCount } from './sources';
import {
  count, STAT_BEFORE, STAT_BLOCKS, STAT_HELD, STAT_PAGES, STAT_SHARED, STAT_ZERO,
} from './stats';

const DONE: i32 = 0;
const CHUNK_FULL: i32 = 1;
const GROUP_FULL: i32 = 2;
const BAD_PAGE: i32 = 3;

const WHOLE: u32 = 8;
const HAS_ZERO: u32 = 16;
const HAS_SHARED: u32 = 32;
const REST_ZERO: u32 = 64;
const REST_SHARED: u32 = 128;

/** No page's record, references and new sources take more. */
const RECORD_BYTES_MAX: u32 = 4096 + 1024;

let capture: usize = 0;
let capturePages: usize = 0;
let heads: usize = 0;
let bodies: usize = 0;
let touched: usize = 0;
let chunkPagesMax: u32 = 0;
let groupBytesMax: u32 = 0;
let sharing: bool = false;

let slotCount: u32 = 0;
let cursor: u32 = 0;
let head: usize = 0;
let body: usize = 0;
let previousPage: u32 = 0;
let chunkPages: u32 = 0;
let touchedCount: u32 = 0;

export function initEncode(
  captureAt: usize, capturePagesAt: usize, headsAt: usize, bodiesAt: usize, touchedAt: usize,
  pagesMax: u32, groupMax: u32, share: bool,
): void {
  capture = captureAt;
  capturePages = capturePagesAt;
  heads = headsAt;
  bodies = bodiesAt;
  touched = touchedAt;
  chunkPagesMax = pagesMax;
  groupBytesMax = groupMax;
  sharing = share;
}

export function beginSegment(slots: u32): void {
  slotCount = slots;
  cursor = 0;
  touchedCount = 0;
  if (slots != 0) beginSegmentOfIndex();
  if (sharing) {
    clearTable(slots);
    forgetRead();
  }
  beginChunk();
}

export function beginChunk(): void {
  head = heads;
  body = bodies;
  previousPage = 0;
  chunkPages = 0;
  clearSources();
}

/** Encodes on. `budget`: bytes that heads, bodies, sources and the open group may take. */
export function encodePages(budget: u32): i32 {
  while (cursor < slotCount) {
    const open = groupBytes;
    const used = headBytes() + bodyBytes() + (sourceCount << 2) + (open != 0 ? open + 8 : 0);
    if (chunkPages == chunkPagesMax || used + RECORD_BYTES_MAX > budget) return CHUNK_FULL;
    if (areSourcesFull()) return CHUNK_FULL;
    if (open + 4096 > groupBytesMax) return GROUP_FULL;
    const page = load<u32>(capturePages + ((cursor as usize) << 2));
    if (page >= pageCount) return BAD_PAGE;
    encodePage(cursor, page);
    cursor += 1;
  }
  return DONE;
}

export function headBytes(): u32 {
  return (head - heads) as u32;
}

export function bodyBytes(): u32 {
  return (body - bodies) as u32;
}

export function pagesInChunk(): u32 {
  return chunkPages;
}

/** Pages that this segment changed, listed at the place given to `initEncode`. */
export function pagesTouched(): u32 {
  return touchedCount;
}

/** Slots encoded so far. */
export function segmentCursor(): u32 {
  return cursor;
}

function encodePage(slot: u32, page: u32): void {
  const image = capture + ((slot as usize) << 12);
  const changed = updateKnown(page, image);
  if (changed == 0) return;
  store<u32>(touched + ((touchedCount as usize) << 2), page);
  touchedCount += 1;
  let zero: u64 = 0;
  let shared: u64 = 0;
  if (sharing) {
    nameSlot(slot, chunkPages);
    body = shareBlocks(slot, page, changed, body);
    zero = zeroBlocks;
    shared = sharedBlocks;
    count(STAT_ZERO, popcnt<u64>(zero) as u32);
    count(STAT_SHARED, popcnt<u64>(shared) as u32);
    count(STAT_BEFORE, sharedBefore);
    if (sharedHeld != 0) count(STAT_HELD, sharedHeld);
  }
  count(STAT_PAGES, 1);
  count(STAT_BLOCKS, popcnt<u64>(changed) as u32);
  const literal = changed & ~(zero | shared);
  // What is equal to a block that the backup holds can be found there.
  if (sharing) enterHeld(page, literal);
  let method: u32 = 0;
  const kept = keptSlot(page);
  if (literal != 0) {
    method = compress(image, literal, kept < 0 ? 0 : keptCopy(kept), body);
    body += literalBytes;
  }
  writeHead(page, method, changed, zero, shared, literal);
  chunkPages += 1;
  if (keptCount != 0) {
    keep(page, kept, image, changed, method == DELTA || (sharing && sharedBefore != 0));
  }
}

function writeHead(
  page: u32, method: u32, changed: u64, zero: u64, shared: u64, literal: u64,
): void {
  // The distance from the page before, signs folded: 0, -1, 1, -2, …
  const distance = page - previousPage;
  head = writeVarint(head, (distance << 1) ^ (((distance as i32) >> 31) as u32));
  previousPage = page;
  let flags = method;
  if (changed == wholePage) flags |= WHOLE;
  let writeZero = false;
  let writeShared = false;
  if (literal == 0 && shared == 0) {
    flags |= REST_ZERO;
  } else if (zero != 0) {
    flags |= HAS_ZERO;
    writeZero = true;
  }
  if (shared != 0) {
    if (literal == 0) {
      flags |= REST_SHARED;
    } else {
      flags |= HAS_SHARED;
      writeShared = true;
    }
  }
  store<u8>(head, flags as u8);
  head += 1;
  const bitmapBytes = blocksPerPage >> 3;
  if (changed != wholePage) {
    store<u64>(head, changed);
    head += bitmapBytes;
  }
  if (writeZero) {
    store<u64>(head, zero);
    head += bitmapBytes;
  }
  if (writeShared) {
    store<u64>(head, shared);
    head += bitmapBytes;
  }
}

/** Brings the kept copy up to date, or keeps the page if it is worth it. */
function keep(page: u32, kept: i32, image: usize, changed: u64, helped: bool): void {
  const hot = noteWritten(page);
  if (hot || helped || kept >= 0) noteKept(helped);
  if (kept >= 0) {
    const copy = keptCopy(kept);
    for (let left = changed; left != 0; left &= left - 1) {
      const at = (ctz<u64>(left) as usize) << blockShift;
      copyUnits(copy + at, image + at, (1 as usize) << blockShift);
    }
    markChanged(kept);
    if (sharing) indexKept(kept, rowOf(page), changed);
  } else if (hot && isAdmitted()) {
    const slot = admit(page);
    copyUnits(keptCopy(slot), image, 4096);
    if (sharing) indexKept(slot, rowOf(page), wholePage);
  }
}
