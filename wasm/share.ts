// Share: find blocks that are zero, or equal to a block of the same segment, or to a block that the
// backup held before this epoch, of a kept page or of any other (held.ts). Candidates come from hash
// tables, and every one is confirmed bit by bit. A reference is (page, first block, run): see
// shared/codec/chunk.ts.
import { findHeld, heldName, touchHeld } from './held';
import { blockShift, blocksPerPage, isEqual } from './identify';
import { rowOf, zeroHash } from './index';
import { isFromBefore, keptCopy, keptCount, keptPage } from './kept';
import { keptFilter, noteShared, segmentFilter } from './sampling';
import { nameOf, nameRecord, NO_NAME, STAGED } from './sources';

const PROBES: usize = 8;

let capture: usize = 0;
let capturePages: usize = 0;
/**
 * Table of the segment's blocks, u32 an entry: in the lower bits 1 + (slot * 64 + block), in those
 * above bits of the hash. 0 is empty. Small, because a look-up is mostly a wait for memory.
 */
let table: usize = 0;
let tableMask: usize = 0;
let valueMask: u32 = 0;
/** Table of the kept pages' blocks, alike; entries may be stale. */
let keptTable: usize = 0;
let keptMask: usize = 0;
let keptValueMask: u32 = 0;
/** Takes the sum of what was only read to have it in the cache. */
let prefetched: u32 = 0;
/** Per capture slot and per kept slot, what sources.ts needs. */
let slotNames: usize = 0;
let keptNames: usize = 0;

/** Results of `shareBlocks`. */
export let zeroBlocks: u64 = 0;
export let sharedBlocks: u64 = 0;
/** Of those: of kept pages, and of others that the backup holds. */
export let sharedBefore: u32 = 0;
export let sharedHeld: u32 = 0;

export function initShare(
  captureAt: usize, capturePagesAt: usize, slots: u32, slotNamesAt: usize, tableAt: usize,
  keptTableAt: usize, keptEntries: usize, keptNamesAt: usize,
): void {
  capture = captureAt;
  capturePages = capturePagesAt;
  slotNames = slotNamesAt;
  table = tableAt;
  valueMask = maskFor(slots);
  keptTable = keptTableAt;
  keptValueMask = maskFor(keptCount);
  keptMask = keptEntries - 1;
  keptNames = keptNamesAt;
}

/** As many low bits as 1 + (slot * 64 + block) takes. */
function maskFor(slots: u32): u32 {
  return ((1 as u32) << (32 - clz<u32>((slots + 1) << 6))) - 1;
}

/** Empties the segment's table, with room for at least twice its blocks. */
export function clearTable(slots: u32): void {
  let entries: usize = 1024;
  while (entries < (((slots as usize) * blocksPerPage) << 1)) entries <<= 1;
  tableMask = entries - 1;
  memory.fill(table, 0, entries << 2);
}

/** The current chunk has the slot's page as its record number `record`. */
export function nameSlot(slot: u32, record: u32): void {
  nameRecord(slotNames + ((slot as usize) << 3), record);
}

function nameOfSlot(slot: u32): u32 {
  const page = load<u32>(capturePages + ((slot as usize) << 2));
  return nameOf(slotNames + ((slot as usize) << 3), page | STAGED);
}

function nameOfKept(slot: u32): u32 {
  return nameOf(keptNames + ((slot as usize) << 3), keptPage(slot));
}

// @ts-ignore: decorator
@inline
function isZero(a: usize): bool {
  const end = a + ((1 as usize) << blockShift);
  let any = i64x2.splat(0);
  for (; a < end; a += 16) any = v128.or(any, v128.load(a));
  return !v128.any_true(any);
}

/** A candidate for the next reference: one block further in the page that the last one named. */
let nextName: u32 = 0;
let nextImage: usize = 0;
let nextBlock: u32 = 0;
let nextBefore: bool = false;
/** The run of references that is being drawn out. */
let runName: u32 = 0;
let runBlock: u32 = 0;
let runLength: u32 = 0;
let out: usize = 0;

/**
 * Sorts the `changed` blocks of a slot into zero, shared and (what is left) literal; writes the
 * references to `target` and returns where they end. Literal blocks enter the segment's table.
 */
export function shareBlocks(slot: u32, page: u32, changed: u64, target: usize): usize {
  const image = capture + ((slot as usize) << 12);
  const row = rowOf(page);
  zeroBlocks = 0;
  sharedBlocks = 0;
  sharedBefore = 0;
  runLength = 0;
  nextImage = 0;
  out = target;
  const filter = segmentFilter & keptFilter;
  const asked = filter == 0 ? changed : changed & passing(row, filter);
  prefetch(row, asked, changed);
  const held = findHeld(row, image, changed);
  sharedHeld = popcnt<u64>(held) as u32;
  let left = asked | held;
  while (left != 0) {
    const block = ctz<u64>(left) as u32;
    const bit = (1 as u64) << (block as u64);
    left &= left - 1;
    if ((held & bit) != 0) {
      sharedBlocks |= bit;
      refer(heldName(block), block);
      nextImage = 0;
      continue;
    }
    const at = image + ((block as usize) << blockShift);
    const hash = load<u64>(row + ((block as usize) << 3));
    if (hash == zeroHash && isZero(at)) {
      zeroBlocks |= bit;
    } else if (followsRun(at) || isInSegment(slot, block, at, hash)
      || isKept(at, hash)) {
      sharedBlocks |= bit;
      if (nextBefore) sharedBefore += 1;
      refer(nextName, nextBlock);
      nextBlock += 1;
      // The block after a shared one is asked for, whatever the filter says.
      left |= (bit << 1) & changed;
    }
  }
  flushRun();
  const shared = (popcnt<u64>(sharedBlocks) as u32) - sharedHeld;
  const sought = popcnt<u64>(changed & ~(zeroBlocks | held)) as u32;
  noteShared(sought, shared - sharedBefore, sharedBefore);
  return out;
}

/** A bit for each block of the row that is zero, by its hash, or has no bit of `filter` in it. */
function passing(row: usize, filter: u64): u64 {
  const none = i64x2.splat(0);
  const filters = i64x2.splat(filter);
  const zeros = i64x2.splat(zeroHash);
  let blocks: u64 = 0;
  for (let i: usize = 0; i < blocksPerPage; i += 2) {
    const hashes = v128.load(row + (i << 3));
    const passes = i64x2.eq(v128.and(hashes, filters), none);
    const either = v128.or(passes, i64x2.eq(hashes, zeros));
    blocks |= (i64x2.bitmask(either) as u64) << (i as u64);
  }
  return blocks;
}

/**
 * True where the block equals the one after the block that was referred to last. If that is a block
 * of its own page it lies before this one, as the decoder needs it: so did the last one.
 */
function followsRun(at: usize): bool {
  if (nextImage == 0 || nextBlock >= (blocksPerPage as u32)) return false;
  return isEqual(at, nextImage + ((nextBlock as usize) << blockShift));
}

/**
 * Reads the table entries of all blocks at once: the waits for memory overlap, where the look-ups
 * one after the other would each wait.
 */
function prefetch(row: usize, blocks: u64, changed: u64): void {
  let sum = touchHeld(row, changed);
  for (; blocks != 0; blocks &= blocks - 1) {
    const hash = load<u64>(row + ((ctz<u64>(blocks) as usize) << 3));
    if ((hash & segmentFilter) == 0) sum += load<u32>(table + (((hash as usize) & tableMask) << 2));
    if ((hash & keptFilter) == 0) sum += load<u32>(keptTable + (((hash as usize) & keptMask) << 2));
  }
  prefetched = sum;
}

/** True where an earlier block of the segment is equal; else the block becomes one of them. */
function isInSegment(slot: u32, block: u32, at: usize, hash: u64): bool {
  if ((hash & segmentFilter) != 0) return false;
  const mask = valueMask;
  const tag = ((hash >> 32) as u32) & ~mask;
  let probe = (hash as usize) & tableMask;
  for (let i: usize = 0; i < PROBES; i++) {
    const entry = table + (probe << 2);
    const found = load<u32>(entry);
    if (found == 0) {
      store<u32>(entry, tag | (((slot << 6) | block) + 1));
      return false;
    }
    if ((found & ~mask) == tag) {
      const value = (found & mask) - 1;
      const other = value >> 6;
      const otherBlock = value & 63;
      const image = capture + ((other as usize) << 12);
      if (isEqual(at, image + ((otherBlock as usize) << blockShift))) {
        return aim(nameOfSlot(other), image, otherBlock, false);
      }
    }
    probe = (probe + 1) & tableMask;
  }
  return false;
}

/** True where a kept page, as the backup held it before this epoch, has an equal block. */
function isKept(at: usize, hash: u64): bool {
  if (keptCount == 0 || (hash & keptFilter) != 0) return false;
  const first = keptTable + (((hash as usize) & keptMask) << 2);
  const second = keptTable + ((((hash as usize) ^ 1) & keptMask) << 2);
  const tag = ((hash >> 32) as u32) & ~keptValueMask;
  return isKeptEntry(first, tag, at) || isKeptEntry(second, tag, at);
}

function isKeptEntry(entry: usize, tag: u32, at: usize): bool {
  const found = load<u32>(entry);
  if (found == 0 || (found & ~keptValueMask) != tag) return false;
  const value = (found & keptValueMask) - 1;
  const slot = value >> 6;
  const block = value & 63;
  if (!isFromBefore(slot)) return false;
  const copy = keptCopy(slot);
  if (!isEqual(at, copy + ((block as usize) << blockShift))) return false;
  return aim(nameOfKept(slot), copy, block, true);
}

/** Makes the `blocks` of a kept page, whose hashes are in `row`, findable. */
export function indexKept(slot: u32, row: usize, blocks: u64): void {
  const mask = keptValueMask;
  for (; blocks != 0; blocks &= blocks - 1) {
    const block = ctz<u64>(blocks) as u32;
    const hash = load<u64>(row + ((block as usize) << 3));
    if (hash == zeroHash || (hash & keptFilter) != 0) continue;
    const tag = ((hash >> 32) as u32) & ~mask;
    let entry = keptTable + (((hash as usize) & keptMask) << 2);
    const found = load<u32>(entry);
    // Of two places, mostly the first: the other keeps what is older.
    if (found != 0 && (found & ~mask) != tag && (hash & 0x100000000000) != 0) {
      entry = keptTable + ((((hash as usize) ^ 1) & keptMask) << 2);
    }
    store<u32>(entry, tag | (((slot << 6) | block) + 1));
  }
}

function aim(name: u32, image: usize, block: u32, before: bool): bool {
  if (name == NO_NAME) return false;
  nextName = name;
  nextImage = image;
  nextBlock = block;
  nextBefore = before;
  return true;
}

function refer(name: u32, block: u32): void {
  if (runLength != 0 && name == runName && block == runBlock + runLength) {
    runLength += 1;
    return;
  }
  flushRun();
  runName = name;
  runBlock = block;
  runLength = 1;
}

function flushRun(): void {
  if (runLength == 0) return;
  out = writeVarint(out, runName);
  store<u8>(out, runBlock as u8);
  store<u8>(out, runLength as u8, 1);
  out += 2;
  runLength = 0;
}

/** 7 bits a byte, lowest first, the top bit says that more follow. */
export function writeVarint(at: usize, value: u32): usize {
  while (value >= 128) {
    store<u8>(at, ((value & 127) | 128) as u8);
    value >>= 7;
    at += 1;
  }
  store<u8>(at, value as u8);
  return at + 1;
}
