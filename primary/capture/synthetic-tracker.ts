import { PageSet } from '../../shared/page-set.ts';
import type { DirtyTracker } from './tracker.ts';

/** What a synthetic guest knows about itself. */
interface ReportsWrites {
  readonly memory: { readonly pageCount: number };
  takeDirty(into: PageSet): void;
}

/** Asks a synthetic guest which pages it wrote. Exact, also while the guest runs. */
export class SyntheticTracker implements DirtyTracker {
  readonly kind = 'synthetic';
  readonly knowsFromStart = true;
  readonly #guest: ReportsWrites;

  constructor(guest: ReportsWrites) {
    this.#guest = guest;
  }

  arm(): void {
    this.#guest.takeDirty(new PageSet(this.#guest.memory.pageCount));
  }

  collect(into: PageSet): void {
    this.#guest.takeDirty(into);
  }

  close(): void {}
}
