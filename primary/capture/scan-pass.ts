import type { PageDigester } from '../../shared/codec/page-digester.ts';
import type { RamFile } from '../../shared/memory/ram-file.ts';

/**
 * Compares stretches of RAM with a table of the digests that they had at the pass before, and
 * brings the table up to date. Holes are skipped by steps of what the digester takes at once.
 */
export class ScanPass {
  readonly #memory: RamFile;
  readonly #digester: PageDigester;
  /** Two words a page; both 0 for a page of zeros, be it a hole or not. */
  readonly #known: Uint32Array;
  readonly #zeroLow: number;
  readonly #zeroHigh: number;

  constructor(memory: RamFile, digester: PageDigester, known: Uint32Array) {
    this.#memory = memory;
    this.#digester = digester;
    this.#known = known;
    this.#zeroLow = Number(BigInt.asUintN(32, digester.zeroPageDigest));
    this.#zeroHigh = Number(digester.zeroPageDigest >> 32n);
  }

  /** Pages `first` … `end - 1`; those whose bytes are others now are given to `onChanged`. */
  run(first: number, end: number, onChanged: (page: number) => void): void {
    for (let page = first; page < end; ) {
      const dataFirst = Math.min(end, this.#memory.firstData(page) ?? end);
      for (; page < dataFirst; page++) this.#note(page, 0, 0, onChanged);
      const count = Math.min(this.#digester.capacityPages, end - page);
      if (count > 0) this.#digest(page, count, onChanged);
      page += count;
    }
  }

  #digest(first: number, count: number, onChanged: (page: number) => void): void {
    this.#memory.readRange(first, count, this.#digester.buffer, 0);
    const digests = this.#digester.digestBuffer(count);
    const found = new Uint32Array(digests.buffer, digests.byteOffset, 2 * count);
    for (let i = 0; i < count; i++) {
      const [low, high] = [found[2 * i]!, found[2 * i + 1]!];
      const isZero = low === this.#zeroLow && high === this.#zeroHigh;
      this.#note(first + i, isZero ? 0 : low, isZero ? 0 : high, onChanged);
    }
  }

  #note(page: number, low: number, high: number, onChanged: (page: number) => void): void {
    const known = this.#known;
    if (known[2 * page] === low && known[2 * page + 1] === high) return;
    known[2 * page] = low;
    known[2 * page + 1] = high;
    onChanged(page);
  }
}
