// Sources: how the current chunk names a page that it refers to (layout: shared/codec/chunk.ts). Who
// keeps pages to refer to has 8 bytes for each: u32 serial of a chunk, u32 how that chunk names it.

/** In a source's page number: as staged in this epoch, not as before it. */
export const STAGED: u32 = 0x80000000;
/** The chunk has no room for another name. */
export const NO_NAME: u32 = 0xffffffff;
/** A chunk with fewer free places is closed: what the next page shares would not find a name. */
const ROOM: u32 = 64;

export let sourceCount: u32 = 0;
let chunkSerial: u32 = 0;
let sources: usize = 0;
let sourcesMax: u32 = 0;

export function initSources(sourcesAt: usize, limit: u32): void {
  sources = sourcesAt;
  sourcesMax = limit;
  chunkSerial = 0;
  sourceCount = 0;
}

export function clearSources(): void {
  chunkSerial += 1;
  sourceCount = 0;
}

export function areSourcesFull(): bool {
  return sourceCount + ROOM > sourcesMax;
}

/** The current chunk has the page of this name as its record number `record`. */
export function nameRecord(at: usize, record: u32): void {
  store<u32>(at, chunkSerial);
  store<u32>(at, record << 1, 4);
}

/** How the chunk names `source`, or `NO_NAME` where its list is full. */
export function nameOf(at: usize, source: u32): u32 {
  if (load<u32>(at) == chunkSerial) return load<u32>(at, 4);
  if (sourceCount == sourcesMax) return NO_NAME;
  store<u32>(sources + ((sourceCount as usize) << 2), source);
  const name = (sourceCount << 1) | 1;
  sourceCount += 1;
  store<u32>(at, chunkSerial);
  store<u32>(at, name, 4);
  return name;
}
