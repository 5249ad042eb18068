import { pageBytes } from '../../ids.ts';
import type { Random } from '../../random.ts';
import { fillPhrases } from './phrases.ts';

/**
 * What a page of a Linux guest may hold, made from random numbers:
 * - `text`: log lines, configuration, source: words in varying order;
 * - `code`: x86-64 instructions: few operations, many operands, padding between functions;
 * - `pointers`: kernel or heap structures: 64-bit pointers near each other, small integers;
 * - `sparse`: page tables, hash buckets: a few words among zeros;
 * - `random`: compressed or encrypted data: nothing to gain.
 */
export type PageKind = 'text' | 'code' | 'pointers' | 'sparse' | 'random';

export const pageKinds: readonly PageKind[] = ['text', 'code', 'pointers', 'sparse', 'random'];

/** Fills the page at `offset` (a multiple of 4096). `bytes` and `words` view one buffer. */
export function fillPage(
  kind: PageKind,
  random: Random,
  bytes: Uint8Array,
  words: Uint32Array,
  offset: number,
): void {
  const firstWord = offset >>> 2;
  switch (kind) {
    case 'text':
      fillPhrases(random, bytes, offset, offset + pageBytes);
      break;
    case 'code':
      fillCode(random, bytes, offset, offset + pageBytes);
      break;
    case 'pointers':
      fillPointers(random, words, firstWord, firstWord + pageWords);
      break;
    case 'sparse':
      fillSparse(random, words, firstWord, firstWord + pageWords);
      break;
    case 'random':
      random.fill(words.subarray(firstWord, firstWord + pageWords));
      break;
  }
}

const pageWords = pageBytes / 4;

/** Instructions by their usual encodings; 0 stands for a byte that varies. */
const instructions: readonly (readonly number[])[] = [
  [0x48, 0x8b, 0x45, 0],
  [0x48, 0x89, 0x45, 0],
  [0x48, 0x8b, 0x7b, 0],
  [0x48, 0x8d, 0x05, 0, 0, 0x12, 0x11],
  [0xe8, 0, 0, 0xff, 0xff],
  [0xe8, 0, 0, 0x01, 0x11],
  [0x0f, 0x84, 0, 0x01, 0x11, 0x11],
  [0x74, 0],
  [0x75, 0],
  [0x85, 0xc0],
  [0x48, 0x85, 0xc0],
  [0x31, 0xc0],
  [0x89, 0xc7],
  [0x4c, 0x89, 0xe7],
  [0x41, 0x5c, 0x41, 0x5d, 0x41, 0x5e],
  [0x55, 0x48, 0x89, 0xe5],
  [0x48, 0x83, 0xec, 0],
  [0xbf, 0, 0x11, 0x11, 0x11],
  [0x0f, 0xb6, 0x40, 0],
  [0xc7, 0x44, 0x24, 0, 0, 0x11, 0x11, 0x11],
];

const functionEnd: readonly number[] = [0x5d, 0xc3, 0x0f, 0x1f, 0x44, 0x11, 0x11];

function fillCode(random: Random, bytes: Uint8Array, from: number, end: number): void {
  let at = from;
  while (at < end) {
    const draw = random.u32();
    const pattern =
      (draw & 15) === 0 ? functionEnd : instructions[(draw >>> 4) % instructions.length]!;
    let operand = draw >>> 12;
    for (let i = 0; i < pattern.length && at < end; i++) {
      const byte = pattern[i]!;
      // 0x11 marks the high bytes of an operand, which are nearly always zero.
      bytes[at++] = byte === 0x11 ? 0 : byte === 0 ? operand & 0xf8 : byte;
      if (byte === 0) operand >>>= 5;
    }
  }
}

/** Structures of 64 bytes: two list pointers, one to an object far away, counters, zeros. */
function fillPointers(random: Random, words: Uint32Array, from: number, end: number): void {
  const base = random.u32() & 0x3fff_f000;
  const high = (random.u32() & 3) === 0 ? 0x7f3a : 0xffff_8880;
  for (let at = from; at < end; at += 16) {
    const draw = random.u32();
    words[at] = base + ((draw & 0x1ff) << 6);
    words[at + 1] = high;
    words[at + 2] = base + (((draw >>> 9) & 0x1ff) << 6);
    words[at + 3] = high;
    words[at + 4] = random.u32() & 0x7fff_ffc0;
    words[at + 5] = high;
    words[at + 6] = (draw >>> 18) & 0xff;
    words[at + 7] = (draw >>> 28) & 3;
    words.fill(0, at + 8, at + 16);
    if ((draw & 0x8000_0000) !== 0) {
      words[at + 8] = random.u32() & 0xffff;
      words[at + 11] = draw & 0x0fff;
    }
  }
}

/** 4 to 35 words that are not zero, as in a page table or a bucket array that fills slowly. */
function fillSparse(random: Random, words: Uint32Array, from: number, end: number): void {
  words.fill(0, from, end);
  const count = 4 + random.below(32);
  for (let i = 0; i < count; i++) {
    const at = from + (random.below((end - from) >>> 1) << 1);
    words[at] = (random.u32() & 0x3fff_f000) | 0x67;
  }
}
