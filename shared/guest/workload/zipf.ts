import type { Random } from '../../random.ts';

/**
 * Ranks 0 … count-1 by Zipf's law, rank 0 the most frequent, after Gray et al., "Quickly
 * generating billion-record synthetic databases" (SIGMOD 1994), as YCSB does it.
 */
export class Zipf {
  readonly count: number;
  readonly #theta: number;
  readonly #zeta: number;
  readonly #alpha: number;
  readonly #eta: number;

  /** `theta` in 0 … 1 (exclusive); YCSB's 0.99 sends half of the draws to about 1 % of ranks. */
  constructor(count: number, theta = 0.99) {
    this.count = count;
    this.#theta = theta;
    this.#alpha = 1 / (1 - theta);
    let zeta = 0;
    for (let i = 1; i <= count; i++) zeta += i ** -theta;
    this.#zeta = zeta;
    this.#eta = (1 - (2 / count) ** (1 - theta)) / (1 - (1 + 0.5 ** theta) / zeta);
  }

  draw(random: Random): number {
    const u = random.unit();
    const uz = u * this.#zeta;
    if (uz < 1 || this.count === 1) return 0;
    if (uz < 1 + 0.5 ** this.#theta) return 1;
    const rank = Math.floor(this.count * (this.#eta * u - this.#eta + 1) ** this.#alpha);
    return Math.min(rank, this.count - 1);
  }

  /** A draw whose frequent values are spread over 0 … count-1 instead of standing at its start. */
  drawScattered(random: Random): number {
    // A prime: one to one unless `count` is a multiple of it, and exact below 2^53.
    return (this.draw(random) * 1_000_003) % this.count;
  }
}
