import { PageSet } from '../../shared/page-set.ts';
import type { DirtyTracker } from './tracker.ts';

/**
 * What the tracker reported and what is still to be captured, from one checkpoint to the next.
 *
 * A live scan finds a page and protects it again. If a device has the page pinned for direct I/O,
 * what it writes afterwards passes the page tables by, and no later scan reports it. So what live
 * scans reported are **candidates** until the next paused scan: where direct I/O can't be ruled
 * out for the time between, they are captured once more. In the pause nothing is pinned: `stop`
 * has waited for all requests.
 *
 * Invariant: a page that was written is in `toCapture`, or was copied after the scan that reported
 * it.
 */
export class WrittenPages {
  readonly toCapture: PageSet;
  readonly #tracker: DirtyTracker;
  readonly #candidates: PageSet;
  readonly #latest: PageSet;

  constructor(tracker: DirtyTracker, pageCount: number) {
    this.#tracker = tracker;
    this.toCapture = new PageSet(pageCount);
    this.#candidates = new PageSet(pageCount);
    this.#latest = new PageSet(pageCount);
  }

  /** Whether this tracker may be asked while the guest runs. */
  get canScanLive(): boolean {
    return this.#tracker.collectsLive ?? true;
  }

  /** What live scans reported since the last checkpoint. */
  get candidates(): PageSet {
    return this.#candidates;
  }

  arm(): void {
    this.#tracker.arm();
  }

  /** Written since the last scan, while the guest runs. The set is valid until the next scan. */
  scanLive(): PageSet {
    const latest = this.#scan();
    this.#candidates.addAll(latest);
    return latest;
  }

  /** As `scanLive`, of a paused guest. */
  scanPaused(): PageSet {
    return this.#scan();
  }

  /** Direct I/O may have gone on across a live scan: its pages are captured again. */
  recaptureCandidates(): void {
    this.toCapture.addAll(this.#candidates);
  }

  /** A checkpoint has captured everything. */
  forget(): void {
    this.toCapture.clear();
    this.#candidates.clear();
  }

  #scan(): PageSet {
    this.#latest.clear();
    this.#tracker.collect(this.#latest);
    this.toCapture.addAll(this.#latest);
    return this.#latest;
  }
}
