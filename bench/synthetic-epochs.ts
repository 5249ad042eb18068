import type { CaptureSlots } from '../primary/capture/capture-slots.ts';
import type { EpochEncoder } from '../primary/pipeline/epoch-encoder.ts';
import { SyntheticGuest } from '../shared/guest/synthetic-guest.ts';
import type { WorkloadSpec } from '../shared/guest/synthetic-state.ts';
import type { WorkloadName } from '../shared/guest/workload/catalog.ts';
import { type GuestName, pageBytes } from '../shared/ids.ts';
import { PageSet } from '../shared/page-set.ts';
import { Random } from '../shared/random.ts';

/** Guest time of an epoch, ms. */
const epochMs = 100;
const writesMax = 400_000;

/** A synthetic guest that runs epoch after epoch, for what comes after capture. */
export class SyntheticEpochs {
  readonly guest: SyntheticGuest;
  readonly #dirty: PageSet;
  readonly #random = new Random(2);

  constructor(memoryBytes: number, workloads?: readonly WorkloadSpec[]) {
    const name = 'bench' as GuestName;
    const options = { name, memoryBytes, seed: 1 };
    this.guest = new SyntheticGuest(workloads === undefined ? options : { ...options, workloads });
    this.#dirty = new PageSet(this.guest.memory.pageCount);
  }

  /** One workload in half of RAM. */
  static of(workload: WorkloadName, memoryBytes: number): SyntheticEpochs {
    const spec: WorkloadSpec = { workload, share: 0.5, writesPerSecond: 20_000 };
    return new SyntheticEpochs(memoryBytes, [spec]);
  }

  get pageCount(): number {
    return this.guest.memory.pageCount;
  }

  /** Lets the guest run until at least `pagesMin` pages are dirty; returns how many are. */
  run(pagesMin: number): number {
    this.#dirty.clear();
    for (let writes = 0; this.#dirty.size < pagesMin && writes < writesMax; ) {
      writes += this.guest.advance(epochMs);
      this.guest.takeDirty(this.#dirty);
    }
    return this.#dirty.size;
  }

  /** An epoch in which the guest copies `count` pages from anywhere to anywhere, and changes a byte. */
  copyPages(count: number): void {
    const { memory } = this.guest;
    const image = new Uint8Array(pageBytes);
    this.#dirty.clear();
    for (let i = 0; i < count; i++) {
      const [from, to] = [this.#random.below(this.pageCount), this.#random.below(this.pageCount)];
      memory.readRange(from, 1, image, 0);
      image[this.#random.below(pageBytes)]! ^= 1;
      memory.writeBytes(to).set(image, memory.offsetOf(to));
    }
    this.guest.takeDirty(this.#dirty);
  }

  /** Copies the dirty pages into the encoder's buffer; returns how many fitted. */
  capture(encoder: EpochEncoder): number {
    const { captureBuffer, capturePages, captureCapacityPages } = encoder;
    const count = this.#dirty.take(0, capturePages.subarray(0, captureCapacityPages));
    this.guest.memory.copyPages(capturePages, count, captureBuffer, 0);
    return count;
  }

  /** Copies the dirty pages into the slots; all of them must fit. */
  async captureInto(slots: CaptureSlots): Promise<void> {
    await slots.capture(this.#dirty, () => Promise.reject(new Error('an epoch did not fit')));
  }

  /** Tells the encoder what RAM holds, as after a synchronisation. */
  identifyAll(encoder: EpochEncoder): void {
    const { memory } = this.guest;
    const step = encoder.captureCapacityPages;
    let run = memory.nextData(0);
    encoder.adoptZeros(0, this.pageCount);
    while (run !== undefined) {
      for (let first = run.first; first < run.end; first += step) {
        const count = Math.min(step, run.end - first);
        memory.readRange(first, count, encoder.captureBuffer, 0);
        for (let slot = 0; slot < count; slot++) encoder.capturePages[slot] = first + slot;
        encoder.adopt(count);
      }
      run = memory.nextData(run.end);
    }
  }
}
