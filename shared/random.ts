/**
 * Seeded random numbers: xoshiro128** 1.1 (Blackman and Vigna, "Scrambled linear pseudorandom
 * number generators", 2018), seeded by splitmix32. Small, fast, the same on every machine, and
 * its whole state is four words that can be kept in a checkpoint. Not for secrets.
 */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  /** The same seed (taken modulo 2^32) gives the same sequence. */
  constructor(seed: number) {
    let x = seed >>> 0;
    const next = (): number => {
      x = (x + 0x9e3779b9) | 0;
      let z = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
      return z ^ (z >>> 15);
    };
    this.#a = next();
    this.#b = next();
    this.#c = next();
    // All four words zero would give zeros for ever.
    this.#d = next() | 1;
  }

  /** A generator that goes on from the four words of `save`. At least one must not be zero. */
  static restore(state: ArrayLike<number>): Random {
    const random = new Random(0);
    random.load(state);
    return random;
  }

  /** 0 … 2^32 - 1. */
  u32(): number {
    const fivefold = Math.imul(this.#b, 5);
    const result = Math.imul((fivefold << 7) | (fivefold >>> 25), 9) >>> 0;
    const shifted = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= shifted;
    this.#d = (this.#d << 11) | (this.#d >>> 21);
    return result;
  }

  /** 0 … `limit` - 1, for a limit up to 2^32. The bias is below limit / 2^32. */
  below(limit: number): number {
    return Math.floor((this.u32() / 0x1_0000_0000) * limit);
  }

  /** 0 ≤ x < 1, in steps of 2^-32. */
  unit(): number {
    return this.u32() / 0x1_0000_0000;
  }

  /** Fills `words` with whole random words. */
  fill(words: Uint32Array): void {
    for (let i = 0; i < words.length; i++) words[i] = this.u32();
  }

  /** A generator of its own, so that what one part draws does not shift what another draws. */
  fork(): Random {
    return new Random(this.u32());
  }

  save(): readonly [number, number, number, number] {
    return [this.#a >>> 0, this.#b >>> 0, this.#c >>> 0, this.#d >>> 0];
  }

  load(state: ArrayLike<number>): void {
    if (state.length !== 4) throw new RangeError('the state of Random is four words');
    this.#a = state[0]! | 0;
    this.#b = state[1]! | 0;
    this.#c = state[2]! | 0;
    this.#d = state[3]! | 0;
    if ((this.#a | this.#b | this.#c | this.#d) === 0) throw new RangeError('all-zero state');
  }
}
