// Looking for equal blocks costs more than hashing them, and some guests have next to none. Each of
// two tables (the segment's, the kept pages') counts what it finds; where that is too little, it
// goes on with one block in eight, chosen by hash, so that equal blocks are chosen alike, until
// enough is found again. The third (of what the backup holds) is asked page by page.

/** Blocks after which the counts are judged and halved. */
const WINDOW: u32 = 8192;
/** Fewer than one in so many found: look at one in eight. */
const RARE: u32 = 256;
/** More than one in so many found: look at all. */
const COMMON: u32 = 64;
const ONE_IN_EIGHT: u64 = 0x0000700000000000;

/** A block is looked up where its hash has none of these bits. */
export let segmentFilter: u64 = 0;
export let keptFilter: u64 = 0;
let segmentAsked: u32 = 0;
let segmentFound: u32 = 0;
let keptAsked: u32 = 0;
let keptFound: u32 = 0;

/** `asked` blocks of a page were not zero; `inSegment` and `inKept` of them were found. */
export function noteShared(asked: u32, inSegment: u32, inKept: u32): void {
  segmentAsked += asked;
  segmentFound += inSegment;
  keptAsked += asked;
  keptFound += inKept;
  if (segmentAsked >= WINDOW) {
    segmentFilter = nextFilter(segmentFilter, segmentAsked, segmentFound);
    segmentAsked >>= 1;
    segmentFound >>= 1;
  }
  if (keptAsked >= WINDOW) {
    keptFilter = nextFilter(keptFilter, keptAsked, keptFound);
    keptAsked >>= 1;
    keptFound >>= 1;
  }
}

/** Pages after which the use of kept pages is judged. */
const KEPT_WINDOW: u32 = 1024;
/** Fewer than one in so many helped: copying what is admitted costs more than it saves. */
const KEPT_RARE: u32 = 16;
let isRarelyKept: bool = false;
let keptPages: u32 = 0;
let keptHelped: u32 = 0;
let turn: u32 = 0;

/** A page that is kept, or hot, was written; `helped`: a kept copy made it smaller. */
export function noteKept(helped: bool): void {
  keptPages += 1;
  keptHelped += helped as u32;
  if (keptPages < KEPT_WINDOW) return;
  isRarelyKept = isRarelyKept ? keptHelped * 2 < keptPages : keptHelped * KEPT_RARE < keptPages;
  keptPages >>= 1;
  keptHelped >>= 1;
}

/**
 * Whether a hot page takes the place of a kept one. Where that rarely helps (a log that wraps round
 * writes more hot pages than can be kept, and evicts each before its turn comes again), one in
 * eight does: it costs little, and part of what wraps round stays.
 */
export function isAdmitted(): bool {
  if (!isRarelyKept) return true;
  turn += 1;
  return (turn & 7) == 0;
}

/** Pages that are sought among all that the backup holds after one that was found there. */
const HELD_PATIENCE: u32 = 64;
let patience: u32 = HELD_PATIENCE;
let heldTurn: u32 = 0;

/** Whether the next page is sought: where none was found for long, one in four. Copies come in runs. */
export function isHeldSought(): bool {
  if (patience != 0) return true;
  heldTurn += 1;
  return (heldTurn & 3) == 0;
}

/** A page was sought. */
export function noteHeld(found: bool): void {
  if (found) patience = HELD_PATIENCE;
  else if (patience != 0) patience -= 1;
}

function nextFilter(filter: u64, asked: u32, found: u32): u64 {
  if (filter == 0) return found * RARE < asked ? ONE_IN_EIGHT : 0;
  // Of eight equal blocks one is found here, and those that follow it in a run.
  return found * COMMON * 8 > asked ? 0 : ONE_IN_EIGHT;
}
