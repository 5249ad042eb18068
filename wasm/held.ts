// Held: pages anywhere in RAM that the backup is known to hold. A table leads from the hash of a block
// to its page. It is bounded, so it has two blocks of each page, at fixed places: what guests copy
// (fork's copies on write, files in the page cache, pages that the kernel moves) they copy page by
// page. One that is found leads to its neighbours: the rows of both pages are compared hash by hash,
// and where enough is equal the page is read out of RAM and compared bit by bit.
//
// A reference names a page as the backup holds it, but the bits are compared with RAM as it is now.
// The guest may have written in between, so the block's hash in the index, which is of what was sent,
// must be equal, too. Where both are, a wrong reference would need two contents of one and the same
// block of one page that hash alike: as unlikely as that a change of a block is missed at all. (A hash
// alone does not do: any two of millions of blocks could then be mistaken for each other.)
import { blockShift, blocksPerPage, isEqual } from './identify';
import { isHeld, isStaged, pageCount, rowOf, zeroHash } from './index';
import { isHeldSought, noteHeld } from './sampling';
import { nameOf, NO_NAME, STAGED } from './sources';

// @ts-ignore: decorator
@external("env", "readPage")
declare function readPage(page: u32, slot: u32): bool;

/** Pages read of late: the next page may be a copy of the same one. A power of two. */
const SLOTS: u32 = 16;

/** Pairs of u32: in the lower bits 1 + (page * 64 + block), above bits of the hash. 0 is empty. */
let table: usize = 0;
let pairMask: usize = 0;
let valueMask: u32 = 0;
let isOn: bool = false;
/** The first two of these blocks of a page that are not zero are in the table. */
let places: u64 = 0;
const ENTERED: u32 = 2;
/** Fewer equal blocks of a page are not worth reading it. */
let leastBlocks: u32 = 0;

let images: usize = 0;
/** Per slot u32 1 + page. */
const SLOT_PAGES: usize = memory.data(64, 16);
/** Per slot what sources.ts needs. */
const SLOT_NAMES: usize = memory.data(128, 16);
/** Of the page asked for last, per block: u32 how its source is named. */
const FOUND: usize = memory.data(256, 16);

/** `entries`: a power of two, or 0 where RAM can't be read. */
export function initHeld(tableAt: usize, entries: usize, imagesAt: usize): void {
  isOn = entries != 0;
  table = tableAt;
  pairMask = (entries >> 1) - 1;
  valueMask = ((1 as u32) << (32 - clz<u32>(pageCount << 6))) - 1;
  const quarter = (blocksPerPage >> 2) as u64;
  places = (1 as u64) << (quarter >> 1);
  places |= places << quarter;
  places |= places << (quarter << 1);
  leastBlocks = (blocksPerPage >> 3) as u32;
  images = imagesAt;
}

/** Pages are read anew. */
export function forgetRead(): void {
  memory.fill(SLOT_PAGES, 0, (SLOTS as usize) << 2);
}

/** Makes the page findable by those of `blocks` that belong in the table. */
// @ts-ignore: decorator
@inline
export function enterHeld(page: u32, blocks: u64): void {
  if (isOn && (blocks & places) != 0) enterPlaces(page, blocks & places);
}

/** Reads what will be looked up and entered for the page: see `prefetch` in share.ts. */
// @ts-ignore: decorator
@inline
export function touchHeld(row: usize, changed: u64): u32 {
  if (!isOn || (popcnt<u64>(changed) as u32) < leastBlocks) return 0;
  return (changed & places) == 0 ? 0 : touchPlaces(row);
}

export function touchPlaces(row: usize): u32 {
  let sum: u32 = 0;
  let touched: u32 = 0;
  for (let left = places; left != 0 && touched < ENTERED; left &= left - 1) {
    const hash = load<u64>(row + ((ctz<u64>(left) as usize) << 3));
    if (hash == zeroHash) continue;
    touched += 1;
    sum += load<u32>(pairOf(hash));
  }
  return sum;
}

export function enterPlaces(page: u32, blocks: u64): void {
  const row = rowOf(page);
  let entered: u32 = 0;
  for (let left = places; left != 0 && entered < ENTERED; left &= left - 1) {
    const block = ctz<u64>(left) as u32;
    const hash = load<u64>(row + ((block as usize) << 3));
    if (hash == zeroHash) continue;
    entered += 1;
    if (((blocks >> (block as u64)) & 1) == 0) continue;
    const tag = tagOf(hash);
    const pair = pairOf(hash);
    const first = load<u32>(pair);
    // Of two places, mostly the first: the other keeps what is older.
    const isSecond = first != 0 && (first & ~valueMask) != tag && (hash & 0x100000000000) != 0;
    store<u32>(pair + ((isSecond as usize) << 2), tag | (((page << 6) | block) + 1));
  }
}

/**
 * Those of the `changed` blocks that are equal to the same blocks of pages that the backup holds;
 * `heldName` says of which. The index has the page as it is now already.
 */
// @ts-ignore: decorator
@inline
export function findHeld(row: usize, image: usize, changed: u64): u64 {
  if (!isOn || (popcnt<u64>(changed) as u32) < leastBlocks) return 0;
  if ((changed & places) == 0 || !isHeldSought()) return 0;
  const found = seek(row, image, changed);
  noteHeld(found != 0);
  return found;
}

// @ts-ignore: decorator
@inline
export function heldName(block: u32): u32 {
  return load<u32>(FOUND + ((block as usize) << 2));
}

export function seek(row: usize, image: usize, changed: u64): u64 {
  let found: u64 = 0;
  let sought: u32 = 0;
  for (let left = places; left != 0 && sought < ENTERED; left &= left - 1) {
    const block = ctz<u64>(left) as u32;
    const hash = load<u64>(row + ((block as usize) << 3));
    if (hash == zeroHash) continue;
    sought += 1;
    if ((((changed & ~found) >> (block as u64)) & 1) == 0) continue;
    const pair = load<u64>(pairOf(hash));
    let page = holderOf(pair as u32, hash, block);
    if (page < 0) page = holderOf((pair >> 32) as u32, hash, block);
    if (page < 0) continue;
    const equal = equalHashes(row, rowOf(page)) & changed & ~found;
    if ((popcnt<u64>(equal) as u32) >= leastBlocks) found |= confirm(page, image, equal);
  }
  return found;
}

// @ts-ignore: decorator
@inline
function pairOf(hash: u64): usize {
  return table + (((hash as usize) & pairMask) << 3);
}

// @ts-ignore: decorator
@inline
function tagOf(hash: u64): u32 {
  return ((hash >> 32) as u32) & ~valueMask;
}

/** The entry's page, if the backup holds its block and that hashes alike; else -1. */
// @ts-ignore: decorator
@inline
function holderOf(entry: u32, hash: u64, block: u32): i32 {
  if (entry == 0 || (entry & ~valueMask) != tagOf(hash)) return -1;
  const value = (entry & valueMask) - 1;
  if ((value & 63) != block) return -1;
  const page = value >> 6;
  if (load<u64>(rowOf(page) + ((block as usize) << 3)) != hash) return -1;
  return isHeld(page) ? (page as i32) : -1;
}

/** The blocks, zeros left out, of which both rows have the same hash. */
function equalHashes(row: usize, other: usize): u64 {
  const zeros = i64x2.splat(zeroHash);
  let equal: u64 = 0;
  for (let i: usize = 0; i < blocksPerPage; i += 2) {
    const hashes = v128.load(row + (i << 3));
    const alike = i64x2.eq(hashes, v128.load(other + (i << 3)));
    const either = v128.andnot(alike, i64x2.eq(hashes, zeros));
    equal |= (i64x2.bitmask(either) as u64) << (i as u64);
  }
  return equal;
}

/** Those of the blocks that are equal to the page's, bit by bit, as RAM holds it now. */
function confirm(page: u32, image: usize, blocks: u64): u64 {
  const slot = page & (SLOTS - 1);
  const slotPage = SLOT_PAGES + ((slot as usize) << 2);
  const name = SLOT_NAMES + ((slot as usize) << 3);
  if (load<u32>(slotPage) != page + 1) {
    store<u32>(slotPage, 0);
    if (!readPage(page, slot)) return 0;
    store<u32>(slotPage, page + 1);
    store<u32>(name, 0);
  }
  const copy = images + ((slot as usize) << 12);
  let equal: u64 = 0;
  for (; blocks != 0; blocks &= blocks - 1) {
    const block = ctz<u64>(blocks);
    const at = (block as usize) << blockShift;
    equal |= (isEqual(image + at, copy + at) as u64) << block;
  }
  if (equal == 0) return 0;
  const named = nameOf(name, isStaged(page) ? page | STAGED : page);
  if (named == NO_NAME) return 0;
  for (let left = equal; left != 0; left &= left - 1) {
    store<u32>(FOUND + ((ctz<u64>(left) as usize) << 2), named);
  }
  return equal;
}
