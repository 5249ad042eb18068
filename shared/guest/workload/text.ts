import { pageBytes } from '../../ids.ts';
import { fillPhrases, writeAscii, writeDecimal } from './phrases.ts';
import type { Region, Workload } from './workload.ts';

/** Appends log lines to a buffer that wraps round, page by page. */
export class TextWorkload implements Workload {
  /** Word 0: the page written to, in the region; 1: the byte in it; 2: the line's number. */
  readonly cursor = new Uint32Array(4);
  readonly #region: Region;

  constructor(region: Region) {
    this.#region = region;
  }

  populate(): void {
    const { memory, firstPage, pageCount, random } = this.#region;
    for (let page = firstPage; page < firstPage + pageCount; page++) {
      const bytes = memory.writeBytes(page);
      const offset = memory.offsetOf(page);
      fillPhrases(random, bytes, offset, offset + pageBytes);
    }
  }

  step(): number {
    const { memory, firstPage, pageCount, random } = this.#region;
    const lineBytes = 60 + random.below(100);
    if (this.cursor[1]! + lineBytes > pageBytes) {
      this.cursor[0] = (this.cursor[0]! + 1) % pageCount;
      this.cursor[1] = 0;
    }
    const page = firstPage + this.cursor[0]!;
    const lineNumber = (this.cursor[2]! + 1) >>> 0;
    this.cursor[2] = lineNumber;
    const bytes = memory.writeBytes(page);
    const start = memory.offsetOf(page) + this.cursor[1]!;
    let at = writeDecimal(bytes, start, lineNumber, 10);
    at = writeAscii(bytes, at, ' guest app[4711]: ');
    fillPhrases(random, bytes, at, start + lineBytes - 1);
    bytes[start + lineBytes - 1] = 10;
    this.cursor[1] = this.cursor[1]! + lineBytes;
    return lineNumber ^ page;
  }
}
