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
  readonly #guest: ReportsWrites;
  #armed = false;

  constructor(guest: ReportsWrites) {
    this.#guest = guest;
  }

  arm(): void {
    this.#guest.takeDirty(new PageSet(this.#guest.memory.pageCount));
    this.#armed = true;
  }

  collect(into: PageSet): void {
    if (!this.#armed) throw new Error('a tracker was asked before it was armed');
    this.#guest.takeDirty(into);
  }

  close(): void {
    this.#armed = false;
  }
}
