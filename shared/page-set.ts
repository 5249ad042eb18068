/**
 * A set of page indices as a bitmap: one bit a page, walked by 32-bit words with `clz32`.
 * Invariant: `size` equals the number of set bits.
 */
export class PageSet {
  readonly pageCount: number;
  readonly #words: Uint32Array;
  #size = 0;

  constructor(pageCount: number) {
    this.pageCount = pageCount;
    this.#words = new Uint32Array(Math.ceil(pageCount / 32));
  }

  get size(): number {
    return this.#size;
  }

  add(page: number): void {
    this.#check(page);
    const word = page >>> 5;
    const mask = 1 << (page & 31);
    const before = this.#words[word]!;
    if ((before & mask) !== 0) return;
    this.#words[word] = before | mask;
    this.#size += 1;
  }

  /** Adds pages `first` to `end - 1`. */
  addRange(first: number, end: number): void {
    for (let page = first; page < end; page++) this.add(page);
  }

  delete(page: number): void {
    this.#check(page);
    const word = page >>> 5;
    const mask = 1 << (page & 31);
    const before = this.#words[word]!;
    if ((before & mask) === 0) return;
    this.#words[word] = before & ~mask;
    this.#size -= 1;
  }

  has(page: number): boolean {
    this.#check(page);
    return (this.#words[page >>> 5]! & (1 << (page & 31))) !== 0;
  }

  addAll(other: PageSet): void {
    if (other.pageCount !== this.pageCount) throw new Error('page sets of two sizes');
    this.addBits(other.#words);
  }

  /** Adds the pages whose bits are set: page `p` is bit `p % 32` of word `p / 32`. */
  addBits(words: Uint32Array): void {
    if (words.length !== this.#words.length) throw new Error('page sets of two sizes');
    for (let i = 0; i < words.length; i++) {
      const added = words[i]! & ~this.#words[i]!;
      if (added === 0) continue;
      this.#words[i] = this.#words[i]! | added;
      this.#size += bitCount(added);
    }
  }

  deleteAll(other: PageSet): void {
    if (other.pageCount !== this.pageCount) throw new Error('page sets of two sizes');
    for (let i = 0; i < this.#words.length; i++) {
      const removed = this.#words[i]! & other.#words[i]!;
      if (removed === 0) continue;
      this.#words[i] = this.#words[i]! & ~removed;
      this.#size -= bitCount(removed);
    }
  }

  clear(): void {
    this.#words.fill(0);
    this.#size = 0;
  }

  /**
   * Writes the members not below `from`, ascending, to `into` until it is full.
   * Returns how many were written: fewer than `into.length` means that the set is exhausted.
   */
  take(from: number, into: Uint32Array): number {
    let count = 0;
    let word = from >>> 5;
    if (word >= this.#words.length) return 0;
    let bits = this.#words[word]! & (-1 << (from & 31));
    for (;;) {
      while (bits !== 0) {
        if (count === into.length) return count;
        const bit = 31 - Math.clz32(bits & -bits);
        into[count++] = (word << 5) + bit;
        bits &= bits - 1;
      }
      word += 1;
      if (word >= this.#words.length) return count;
      bits = this.#words[word]!;
    }
  }

  #check(page: number): void {
    if (page < 0 || page >= this.pageCount) throw new RangeError(`page ${page} is outside RAM`);
  }
}

function bitCount(word: number): number {
  let v = word - ((word >>> 1) & 0x55555555);
  v = (v & 0x33333333) + ((v >>> 2) & 0x33333333);
  return (((v + (v >>> 4)) & 0x0f0f0f0f) * 0x01010101) >>> 24;
}
