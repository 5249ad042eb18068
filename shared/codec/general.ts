/**
 * The general codec for groups of literals of low similarity (FGBI section 3.2, third kind): lz4
 * or gzip, by config. The only file that imports `lz4`.
 */
import { gunzipSync, gzipSync } from 'node:zlib';
import lz4 from 'lz4';
import type { GeneralCodec } from './codec-settings.ts';

/** Numbers on the wire. */
export const generalCodes: readonly GeneralCodec[] = ['none', 'lz4', 'gzip'];

/**
 * Compresses `input` into `output` from `start` on; `level` is gzip's. Returns the bytes written, or
 * 0 where they would not be fewer than the input's.
 */
export function compressGroup(
  codec: GeneralCodec,
  input: Uint8Array,
  output: Uint8Array,
  start: number,
  level = 1,
): number {
  const room = Math.min(input.length - 1, output.length - start);
  if (codec === 'none' || room <= 0) return 0;
  if (codec === 'lz4')
    return lz4.encodeBlock(asBuffer(input), asBuffer(output), start, start + room);
  const packed = gzipSync(input, { level });
  if (packed.length > room) return 0;
  output.set(packed, start);
  return packed.length;
}

/** Restores exactly `output.length` bytes; false where `input` does not give as many. */
export function decompressGroup(
  codec: GeneralCodec,
  input: Uint8Array,
  output: Uint8Array,
): boolean {
  if (codec === 'lz4') return lz4.decodeBlock(asBuffer(input), asBuffer(output)) === output.length;
  if (codec === 'none') return false;
  try {
    const plain = gunzipSync(input, { maxOutputLength: output.length });
    if (plain.length !== output.length) return false;
    output.set(plain);
    return true;
  } catch {
    // Not a gzip member, or more than `output` takes: the caller has one answer to both.
    return false;
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
