/**
 * The payload of a chunk: page records of one segment of an epoch. Little endian, no padding.
 *
 *   header   32 bytes
 *      0 u32 magic "USCK"        4 u8 version (1)    5 u8 log2 of the block size
 *      6 u8 general codec        7 u8 0              8 u32 pages
 *     12 u32 sources            16 u32 groups       20 u32 bytes of the groups
 *     24 u32 bytes of the heads 28 u32 bytes of the bodies
 *   groups   each u32 plain bytes, u32 packed bytes (0: stored as they are), then the bytes. Side
 *            by side, unpacked, they are the literals of the pages with method 5, in order.
 *   heads    for each page
 *      varint   page, as distance from the one before (from 0), signs folded: 0, -1, 1, -2, …
 *      u8       bits 0–2 method: 0 no literals, 1 zero-run, 2 zero-run of the difference (XOR)
 *               from what the page was, 3 WKdm, 4 stored, 5 general codec
 *               bit 3 all blocks changed: no bitmap of them
 *               bit 4 a bitmap of zero blocks     bit 6 changed blocks left over are all zero
 *               bit 5 a bitmap of shared blocks   bit 7 changed blocks left over are all shared
 *      bitmaps  one bit a block: changed, zero, shared, as far as present. What is changed and
 *               neither zero nor shared is literal.
 *   bodies   for each page
 *      runs of references for the shared blocks in order: varint name, u8 first block, u8 blocks.
 *      An even name is twice the number of a page of this chunk, not later than this page; an odd
 *      one is twice the number of a source, plus one. A page may name its own earlier blocks.
 *      then the literal blocks side by side, by the method (zero-run.ts, wkdm.ts in wasm/)
 *   sources  u32 each: a page outside the chunk; bit 31: as this epoch has staged it, else as it
 *            was before the epoch
 */
import { UnderstudyError } from '../errors.ts';
import type { BlockBytes, GeneralCodec } from './codec-settings.ts';
import { generalCodes } from './general.ts';

export const chunkHeaderBytes = 32;
/** Bounds what a chunk unpacks to: 8 MiB. */
export const chunkPagesMax = 2048;
export const chunkSourcesMax = 1024;
/** Largest chunk that a decoder takes. */
export const chunkBytesMax = 8 << 20;
/** A page's literals must fit, whatever they are. */
export const chunkBytesMin = 16 << 10;
export const groupHeaderBytes = 8;
/** In a source: the page as staged in this epoch. */
export const stagedSource = 0x80000000;

const magic = 0x4b435355;
const version = 1;

export interface ChunkHeader {
  readonly blockBytes: BlockBytes;
  readonly generalCodec: GeneralCodec;
  readonly pages: number;
  readonly sources: number;
  readonly groups: number;
  readonly groupsBytes: number;
  readonly headsBytes: number;
  readonly bodiesBytes: number;
}

export function writeChunkHeader(into: Uint8Array, header: ChunkHeader): void {
  const view = new DataView(into.buffer, into.byteOffset, chunkHeaderBytes);
  view.setUint32(0, magic, true);
  view.setUint8(4, version);
  view.setUint8(5, Math.log2(header.blockBytes));
  view.setUint8(6, generalCodes.indexOf(header.generalCodec));
  view.setUint8(7, 0);
  view.setUint32(8, header.pages, true);
  view.setUint32(12, header.sources, true);
  view.setUint32(16, header.groups, true);
  view.setUint32(20, header.groupsBytes, true);
  view.setUint32(24, header.headsBytes, true);
  view.setUint32(28, header.bodiesBytes, true);
}

/** Reads and bounds the header of a whole payload. Throws `E_CHUNK_CORRUPT`. */
export function readChunkHeader(payload: Uint8Array): ChunkHeader {
  if (payload.length < chunkHeaderBytes) throw corruptChunk('is shorter than a header', 0);
  if (payload.length > chunkBytesMax) throw corruptChunk('is longer than a chunk may be', 0);
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  if (view.getUint32(0, true) !== magic) throw corruptChunk('does not start as a chunk', 0);
  if (view.getUint8(4) !== version) throw corruptChunk('is of another version', 4);
  const shift = view.getUint8(5);
  if (shift < 6 || shift > 8) throw corruptChunk('has an unknown block size', 5);
  const generalCodec = generalCodes[view.getUint8(6)];
  if (generalCodec === undefined) throw corruptChunk('has an unknown codec', 6);
  if (view.getUint8(7) !== 0) throw corruptChunk('has a reserved byte set', 7);
  const header: ChunkHeader = {
    blockBytes: (1 << shift) as BlockBytes,
    generalCodec,
    pages: view.getUint32(8, true),
    sources: view.getUint32(12, true),
    groups: view.getUint32(16, true),
    groupsBytes: view.getUint32(20, true),
    headsBytes: view.getUint32(24, true),
    bodiesBytes: view.getUint32(28, true),
  };
  if (header.pages > chunkPagesMax) throw corruptChunk('has too many pages', 8);
  if (header.sources > chunkSourcesMax) throw corruptChunk('has too many sources', 12);
  const total =
    chunkHeaderBytes +
    header.groupsBytes +
    header.headsBytes +
    header.bodiesBytes +
    4 * header.sources;
  if (total !== payload.length) throw corruptChunk('is not as long as its parts', 20);
  return header;
}

/** `offset`: the byte of the payload where the fault was noticed. */
export function corruptChunk(what: string, offset: number): UnderstudyError {
  return new UnderstudyError('E_CHUNK_CORRUPT', `a chunk ${what} (at byte ${offset})`, {
    hint:
      'The bytes were damaged on the way, or both sides run different versions. ' +
      'The epoch is dropped and sent again; if it goes on, compare the versions.',
    fields: { offset },
  });
}
