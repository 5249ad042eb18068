import type { GeneralCodec } from '../../shared/codec/codec-settings.ts';

/** How groups of literals are compressed in one epoch, and what is expected of it. */
export interface CodecChoice {
  readonly codec: GeneralCodec;
  /** Of gzip: 1 to 9. */
  readonly level: number;
  /** What is left of a byte. */
  readonly ratio: number;
  /** Bytes that all threads together take in. */
  readonly bytesPerSecond: number;
  readonly linkBytesPerSecond: number;
}

/** What the link carries, and whether epochs wait for it. */
export interface LinkState {
  readonly bytesPerSecond: number;
  readonly isBusy: boolean;
}

/** What an epoch's groups came to. */
export interface CodecSample {
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Of all threads together. */
  readonly generalMs: number;
}

export interface CodecLimits {
  /** 0: no gzip. */
  readonly gzipLevelMax: number;
  /** Threads that compress beside each other. */
  readonly threads: number;
}

export interface CodecVerdict {
  /** `none`, `lz4`, `gzip-1` … */
  readonly name: string;
  readonly why: string;
}

/** Fewer say nothing about a codec. */
const sampleBytesMin = 64 << 10;
/** Another codec has to be so much cheaper. */
const worthwhile = 0.9;
/** Every so many epochs with groups, one that may be as cheap is tried for an epoch … */
const trialEvery = 128;
/** … unless it costs more than so many times the cheapest, as far as is known … */
const trialCostMax = 1.5;
/** … or was tried within so many epochs. */
const freshEpochs = 1024;

/**
 * Chooses the codec for groups of literals, epoch by epoch: the one that costs least time for a
 * byte, to compute and to send. Where epochs wait for the link both go on beside each other, and the
 * longer of the two counts; else one comes after the other. Speeds and ratios are those measured on
 * this guest's data, on threads as busy as they are; of a codec that was not tried yet they follow
 * from those in use, by what they are to each other in `npm run bench`. Reads no clock.
 */
export class CodecPolicy {
  readonly #candidates: readonly Candidate[];
  readonly #threads: number;
  #epochs = 0;
  #preferred: Candidate;
  #inUse: Candidate;
  #verdict: CodecVerdict;

  constructor({ gzipLevelMax, threads }: CodecLimits) {
    const levels = [...new Set([1, gzipLevelMax])].filter((level) => level <= gzipLevelMax);
    this.#threads = threads;
    this.#candidates = [
      candidate('none', 'none', 0, 1, Number.POSITIVE_INFINITY),
      candidate('lz4', 'lz4', 0, 0.47, 0.6e9),
      ...levels.filter((level) => level > 0).map(gzipCandidate),
    ];
    this.#preferred = this.#candidates[1]!;
    this.#inUse = this.#preferred;
    this.#verdict = { name: this.#preferred.name, why: 'nothing was measured yet' };
  }

  /** What is in use but for trials, and why. */
  get verdict(): CodecVerdict {
    return this.#verdict;
  }

  /** For the epoch that begins. */
  choose(link: LinkState): CodecChoice {
    const priced = this.#candidates.map((of) => ({ of, ...this.#price(of, link) }));
    const best = priced.reduce((a, b) => (b.cost < a.cost ? b : a));
    const current = priced.find(({ of }) => of === this.#preferred)!;
    if (best.cost < current.cost * worthwhile) {
      this.#preferred = best.of;
      this.#verdict = { name: best.of.name, why: inWords(link, best, current) };
    }
    this.#inUse = this.#trial(priced, best.cost) ?? this.#preferred;
    const { codec, level, ratio, speed } = this.#inUse;
    const bytesPerSecond = speed * this.#threads;
    return { codec, level, ratio, bytesPerSecond, linkBytesPerSecond: link.bytesPerSecond };
  }

  /** What the epoch that was chosen for last came to. */
  note({ bytesIn, bytesOut, generalMs }: CodecSample): void {
    const used = this.#inUse;
    if (used.codec === 'none' || bytesIn < sampleBytesMin) return;
    this.#epochs += 1;
    used.triedAt = this.#epochs;
    const ratio = used.ratio + (bytesOut / bytesIn - used.ratio) / 4;
    // Data that this codec packs better, others pack better too; likewise with busy cores.
    this.#scale(ratio / used.ratio, 1);
    if (generalMs <= 0) return;
    const measured = (bytesIn / generalMs) * 1000;
    this.#scale(1, (used.speed + (measured - used.speed) / 4) / used.speed);
  }

  #scale(byRatio: number, bySpeed: number): void {
    for (const each of this.#candidates) {
      if (each.codec === 'none') continue;
      // What was measured of late stands: only the one in use, and guesses, move.
      if (each !== this.#inUse && this.#isFresh(each)) continue;
      each.ratio = Math.min(1, each.ratio * byRatio);
      each.speed *= bySpeed;
    }
  }

  #isFresh({ triedAt }: Candidate): boolean {
    return triedAt > 0 && this.#epochs - triedAt < freshEpochs;
  }

  #price({ ratio, speed }: Candidate, link: LinkState): Price {
    const compute = 1e9 / (speed * this.#threads);
    const send = (1e9 * ratio) / link.bytesPerSecond;
    const [longer, shorter] = compute > send ? [compute, send] : [send, compute];
    // What is hidden behind the longer of the two still heats a core, or fills a link.
    return { compute, send, cost: link.isBusy ? longer + shorter / 8 : longer + shorter };
  }

  #trial(priced: readonly Priced[], leastCost: number): Candidate | undefined {
    if (this.#epochs === 0 || this.#epochs % trialEvery !== 0) return undefined;
    const stale = priced.filter(
      ({ of, cost }) =>
        of !== this.#preferred &&
        of.codec !== 'none' &&
        cost <= leastCost * trialCostMax &&
        !this.#isFresh(of),
    );
    return stale.length === 0 ? undefined : stale.reduce((a, b) => (b.cost < a.cost ? b : a)).of;
  }
}

interface Candidate {
  readonly name: string;
  readonly codec: GeneralCodec;
  readonly level: number;
  ratio: number;
  /** Bytes a second on one thread. */
  speed: number;
  /** In epochs that were noted; 0: never. */
  triedAt: number;
}

/** Nanoseconds for a byte of a group. */
interface Price {
  readonly compute: number;
  readonly send: number;
  readonly cost: number;
}

type Priced = Price & { readonly of: Candidate };

function candidate(
  name: string,
  codec: GeneralCodec,
  level: number,
  ratio: number,
  speed: number,
): Candidate {
  return { name, codec, level, ratio, speed, triedAt: 0 };
}

/** As measured on guest pages: level 6 takes three and a half times level 1, and leaves 6 % less. */
function gzipCandidate(level: number): Candidate {
  const ratio = 0.364 * (1 - 0.012 * (level - 1));
  return candidate(`gzip-${level}`, 'gzip', level, ratio, 0.11e9 / (1 + 0.5 * (level - 1)));
}

function inWords(link: LinkState, best: Priced, before: Priced): string {
  const rate = (link.bytesPerSecond / 1e6).toPrecision(3);
  const busy = link.isBusy ? ', and epochs wait for it' : '';
  const { compute, send, cost } = best;
  const parts = `${nanos(compute)} to compute, ${nanos(send)} to send`;
  return (
    `the link carries ${rate} MB/s${busy}: ${nanos(cost)} ns a byte (${parts}), ` +
    `${before.of.name} ${nanos(before.cost)}`
  );
}

function nanos(value: number): string {
  return value.toFixed(value < 10 ? 1 : 0);
}
