import type { Random } from '../random.ts';
import type { SyntheticMemory } from './synthetic-memory.ts';
import {
  type SyntheticDeviceState,
  type WorkloadSpec,
  workloadCountMax,
} from './synthetic-state.ts';
import { fillBootContent } from './workload/boot-content.ts';
import { makeWorkload, regionPagesMin } from './workload/catalog.ts';
import type { Workload } from './workload/workload.ts';

/**
 * What runs in a synthetic guest: its programs, its time and its counter.
 *
 * Each program has its own pages and its own random numbers, so that the bytes do not depend on
 * the order in which programs take turns: `advance(10)` equals ten times `advance(1)`.
 * Page 0 is the guest's own: u32 counter (low, high), u32 checksum. A resumed guest whose page 0
 * differs from its device state was put together from two epochs.
 */
export class SyntheticProcess {
  readonly #memory: SyntheticMemory;
  readonly #programs: readonly Program[];
  /** Draws which program makes the next of `write`'s writes. */
  readonly #turns: Random;
  readonly #rateSum: number;
  #elapsedUs = 0;
  #counter = 0;
  #checksum = 0;
  #boots = 0;

  constructor(memory: SyntheticMemory, random: Random, specs: readonly WorkloadSpec[]) {
    this.#memory = memory;
    this.#programs = layOut(memory, random, specs);
    this.#turns = random.fork();
    this.#rateSum = specs.reduce((sum, spec) => sum + spec.writesPerSecond, 0);
  }

  get counter(): number {
    return this.#counter;
  }

  get checksum(): number {
    return this.#checksum;
  }

  get boots(): number {
    return this.#boots;
  }

  boot(random: Random): void {
    const end = (page: number): number => {
      if (page === 0) return 1;
      const owner = this.#programs.find((p) => page >= p.firstPage && page < p.endPage);
      return owner?.endPage ?? 0;
    };
    fillBootContent(this.#memory, random, end);
    for (const program of this.#programs) program.workload.populate();
    this.#writeCounter();
  }

  reboot(random: Random): void {
    this.#boots += 1;
    this.#memory.zeroAll();
    for (const program of this.#programs) {
      program.random.load(random.fork().save());
      program.workload.cursor.fill(0);
    }
    this.boot(random);
  }

  advance(ms: number): number {
    const before = this.#elapsedUs;
    this.#elapsedUs += Math.round(ms * 1000);
    let made = 0;
    for (const program of this.#programs) {
      const perUs = program.writesPerSecond / 1e6;
      const due = Math.floor(this.#elapsedUs * perUs) - Math.floor(before * perUs);
      for (let i = 0; i < due; i++) this.#step(program);
      made += due;
    }
    if (made > 0) this.#writeCounter();
    return made;
  }

  write(count: number): number {
    if (this.#rateSum === 0) return 0;
    for (let i = 0; i < count; i++) {
      let ticket = this.#turns.unit() * this.#rateSum;
      let turn = 0;
      while (turn < this.#programs.length - 1) {
        ticket -= this.#programs[turn]!.writesPerSecond;
        if (ticket < 0) break;
        turn += 1;
      }
      this.#step(this.#programs[turn]!);
    }
    if (count > 0) this.#writeCounter();
    return count;
  }

  save(): SyntheticDeviceState {
    return {
      elapsedUs: this.#elapsedUs,
      counter: this.#counter,
      checksum: this.#checksum,
      boots: this.#boots,
      workloads: [
        { random: this.#turns.save(), cursor: noCursor },
        ...this.#programs.map((p) => ({ random: p.random.save(), cursor: p.workload.cursor })),
      ],
    };
  }

  /** Goes on from `state`; RAM must be that of the same instant. */
  load(state: SyntheticDeviceState): void {
    this.#elapsedUs = state.elapsedUs;
    this.#counter = state.counter;
    this.#checksum = state.checksum;
    this.#boots = state.boots;
    this.#turns.load(state.workloads[0]!.random);
    for (const [i, program] of this.#programs.entries()) {
      program.random.load(state.workloads[i + 1]!.random);
      program.workload.cursor.set(state.workloads[i + 1]!.cursor);
    }
  }

  #step(program: Program): void {
    const trace = program.workload.step();
    // A sum over the programs: it does not depend on whose turn it was first.
    this.#checksum = (this.#checksum + Math.imul(trace ^ program.firstPage, 0x9e37_79b1)) >>> 0;
    this.#counter += 1;
  }

  #writeCounter(): void {
    this.#memory.write32(0, 0, this.#counter % 0x1_0000_0000);
    this.#memory.write32(0, 4, Math.floor(this.#counter / 0x1_0000_0000));
    this.#memory.write32(0, 8, this.#checksum);
  }
}

interface Program {
  readonly workload: Workload;
  readonly random: Random;
  readonly firstPage: number;
  readonly endPage: number;
  readonly writesPerSecond: number;
}

const noCursor = new Uint32Array(4);

/** Gives each program its pages, from one eighth of RAM upwards. */
function layOut(
  memory: SyntheticMemory,
  random: Random,
  specs: readonly WorkloadSpec[],
): readonly Program[] {
  const shares = specs.reduce((sum, spec) => sum + spec.share, 0);
  if (shares > 0.9) throw new RangeError('workloads ask for more than 0.9 of RAM');
  if (specs.length >= workloadCountMax) throw new RangeError('too many workloads');
  let next = 1 + Math.floor(memory.pageCount * Math.min(0.125, (1 - shares) / 2));
  return specs.map((spec) => {
    const pageCount = Math.max(regionPagesMin, Math.floor(memory.pageCount * spec.share));
    const firstPage = next;
    next += pageCount;
    if (next > memory.pageCount) throw new RangeError('RAM is too small for these workloads');
    const own = random.fork();
    return {
      workload: makeWorkload(spec.workload, { memory, firstPage, pageCount, random: own }),
      random: own,
      firstPage,
      endPage: next,
      writesPerSecond: spec.writesPerSecond,
    };
  });
}
