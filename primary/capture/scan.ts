import type { PageSet } from '../../shared/page-set.ts';
import { type ScannedRam, ScanThreads } from './scan-threads.ts';
import type { DirtyTracker } from './tracker.ts';

/**
 * Written pages by their digests: every allocated page is read and compared with a table of 8
 * bytes a page, by threads that share out RAM. Needs nothing of the host and costs a pass over guest
 * RAM each time, for which the caller waits. A page written with the same bytes is not reported. A page
 * that a running guest writes after it was digested differs from the table at the next `collect`, so
 * no write is lost.
 */
export class ScanTracker implements DirtyTracker {
  readonly kind = 'scan';
  readonly collectsLive = true;
  readonly #ram: ScannedRam;
  /** Started by `arm`. Gone after a pass that failed: its table is neither the old one nor the new. */
  #threads: ScanThreads | undefined;

  constructor(ram: ScannedRam) {
    this.#ram = ram;
  }

  arm(): void {
    this.#threads ??= new ScanThreads(this.#ram);
    this.#pass(this.#threads);
  }

  collect(into: PageSet): void {
    if (this.#threads === undefined) throw new Error('the scan tracker is not armed');
    into.addBits(this.#pass(this.#threads));
  }

  close(): void {
    this.#threads?.close();
    this.#threads = undefined;
  }

  #pass(threads: ScanThreads): Uint32Array {
    try {
      return threads.pass();
    } catch (error) {
      this.close();
      throw error;
    }
  }
}
