import { allocationContextId } from './handshake.ts';
import type { DiskExtent } from './nbd-disk.ts';
import { chunkFlagDone, chunkType, magic, stateFlag } from './numbers.ts';
import type { NbdRequest } from './request-reader.ts';

/**
 * Replies to requests:
 *
 *   simple      u32 magic · u32 error · 8 bytes cookie · data of READ
 *   structured  u32 magic · u16 flags · u16 type · 8 bytes cookie · u32 length · that many bytes
 *
 * A structured READ is one OFFSET_DATA chunk: u64 offset · data.
 */
export const simpleReplyBytes = 16;
const structuredHeadBytes = 20;
export const structuredReadBytes = structuredHeadBytes + 8;

export function writeSimpleReply(into: Buffer, at: number, to: NbdRequest, error: number): void {
  into.writeUInt32BE(magic.simpleReply, at);
  into.writeUInt32BE(error, at + 4);
  writeCookie(into, at + 8, to);
}

/** The head of a structured READ; the data follows. */
export function writeReadHead(into: Buffer, at: number, to: NbdRequest): void {
  writeStructuredHead(into, at, to, chunkType.offsetData, 8 + to.length);
  into.writeUInt32BE(Math.floor(to.offset / 2 ** 32), at + 20);
  into.writeUInt32BE(to.offset % 2 ** 32, at + 24);
}

export function structuredError(to: NbdRequest, error: number): Buffer {
  const bytes = Buffer.alloc(structuredHeadBytes + 6);
  writeStructuredHead(bytes, 0, to, chunkType.error, 6);
  bytes.writeUInt32BE(error, structuredHeadBytes);
  return bytes;
}

export function blockStatusReply(to: NbdRequest, extents: readonly DiskExtent[]): Buffer {
  const bytes = Buffer.alloc(structuredHeadBytes + 4 + 8 * extents.length);
  writeStructuredHead(bytes, 0, to, chunkType.blockStatus, 4 + 8 * extents.length);
  bytes.writeUInt32BE(allocationContextId, structuredHeadBytes);
  for (const [index, { bytes: length, isHole }] of extents.entries()) {
    const at = structuredHeadBytes + 4 + 8 * index;
    bytes.writeUInt32BE(length, at);
    bytes.writeUInt32BE(isHole ? stateFlag.hole | stateFlag.zero : 0, at + 4);
  }
  return bytes;
}

function writeStructuredHead(
  into: Buffer,
  at: number,
  to: NbdRequest,
  type: number,
  length: number,
): void {
  into.writeUInt32BE(magic.structuredReply, at);
  into.writeUInt16BE(chunkFlagDone, at + 4);
  into.writeUInt16BE(type, at + 6);
  writeCookie(into, at + 8, to);
  into.writeUInt32BE(length, at + 16);
}

function writeCookie(into: Buffer, at: number, { cookieHigh, cookieLow }: NbdRequest): void {
  into.writeUInt32BE(cookieHigh, at);
  into.writeUInt32BE(cookieLow, at + 4);
}
