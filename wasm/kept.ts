// Kept pages: exact copies, as the backup holds them, of pages that are written again and again.
// A page that was written in two of the last few epochs is kept; room is made by a clock hand that
// looks at a few slots. All of it takes constant time a page.
// Invariant: the copy in a slot equals what the backup holds of that page after every epoch sent.

/** A page is kept once it is written twice within so many epochs. */
const HEAT_EPOCHS: u32 = 16;
/** Slots that the clock hand looks at before it takes the coolest. */
const HAND_STEPS: u32 = 8;
/** How often the hand must pass a page that is written all the time. */
const HEAT_MAX: u8 = 3;

export let keptCount: u32 = 0;
/** The epoch being encoded. */
export let epochSerial: u32 = 0;
let copies: usize = 0;
let slotOfPage: usize = 0;
let pageOfSlot: usize = 0;
let changedAt: usize = 0;
let heat: usize = 0;
let lastWritten: usize = 0;
let hand: u32 = 0;

/** `slotOfPageAt`: u32 a page; `lastWrittenAt`: u8 a page; `slotsAt`: 9 bytes a slot. All zero. */
export function initKept(
  count: u32, copiesAt: usize, slotsAt: usize, slotOfPageAt: usize, lastWrittenAt: usize,
): void {
  keptCount = count;
  copies = copiesAt;
  pageOfSlot = slotsAt;
  changedAt = slotsAt + ((count as usize) << 2);
  heat = slotsAt + ((count as usize) << 3);
  slotOfPage = slotOfPageAt;
  lastWritten = lastWrittenAt;
  hand = 0;
  epochSerial = 0;
}

export function setEpoch(serial: u32): void {
  epochSerial = serial;
}

/** Slot of the page, or -1. */
// @ts-ignore: decorator
@inline
export function keptSlot(page: u32): i32 {
  if (keptCount == 0) return -1;
  return (load<u32>(slotOfPage + ((page as usize) << 2)) as i32) - 1;
}

// @ts-ignore: decorator
@inline
export function keptCopy(slot: u32): usize {
  return copies + ((slot as usize) << 12);
}

/** Number of the page in the slot. */
export function keptPage(slot: u32): u32 {
  return load<u32>(pageOfSlot + ((slot as usize) << 2)) - 1;
}

/** True where the slot holds what the backup had before this epoch. */
export function isFromBefore(slot: u32): bool {
  const at = (slot as usize) << 2;
  return load<u32>(pageOfSlot + at) != 0 && load<u32>(changedAt + at) != epochSerial;
}

/** The page was written: true where it is worth keeping although it is not kept yet. */
export function noteWritten(page: u32): bool {
  const at = lastWritten + page;
  const last = load<u8>(at) as u32;
  const now = (epochSerial % 255) + 1;
  store<u8>(at, now as u8);
  if (last == 0) return false;
  const age = now >= last ? now - last : now + 255 - last;
  return age != 0 && age <= HEAT_EPOCHS;
}

export function markChanged(slot: u32): void {
  store<u32>(changedAt + ((slot as usize) << 2), epochSerial);
  store<u8>(heat + slot, HEAT_MAX);
}

/** Makes room for the page; returns its slot, whose copy the caller fills. */
export function admit(page: u32): u32 {
  let chosen = hand;
  let coolest: u32 = 256;
  for (let step: u32 = 0; step < HAND_STEPS; step++) {
    const slot = hand;
    hand = hand + 1 == keptCount ? 0 : hand + 1;
    const taken = load<u32>(pageOfSlot + ((slot as usize) << 2)) != 0;
    const warm: u32 = taken ? 1 + (load<u8>(heat + slot) as u32) : 0;
    if (warm < coolest) {
      coolest = warm;
      chosen = slot;
    }
    if (warm <= 1) break;
    store<u8>(heat + slot, (warm - 2) as u8);
  }
  const at = pageOfSlot + ((chosen as usize) << 2);
  const old = load<u32>(at);
  if (old != 0) store<u32>(slotOfPage + (((old - 1) as usize) << 2), 0);
  store<u32>(at, page + 1);
  store<u32>(slotOfPage + ((page as usize) << 2), chosen + 1);
  markChanged(chosen);
  store<u8>(heat + chosen, 1);
  return chosen;
}

/** The backup may not hold the page any more. */
export function dropKept(page: u32): void {
  const slot = keptSlot(page);
  if (slot < 0) return;
  store<u32>(slotOfPage + ((page as usize) << 2), 0);
  store<u32>(pageOfSlot + ((slot as usize) << 2), 0);
}
