import type { Epoch } from '../../shared/ids.ts';
import type { PageSet } from '../../shared/page-set.ts';

/**
 * The pages that each epoch changed which the backup has not acknowledged yet.
 * Invariant: epochs are in ascending order; the last one may still be open.
 */
export class EpochsInFlight {
  #epochs: { readonly epoch: Epoch; readonly pages: Uint32Array[] }[] = [];

  get count(): number {
    return this.#epochs.length;
  }

  begin(epoch: Epoch): void {
    const last = this.#epochs.at(-1);
    if (last !== undefined && epoch <= last.epoch) {
      throw new Error(`epoch ${epoch} cannot follow epoch ${last.epoch}`);
    }
    this.#epochs.push({ epoch, pages: [] });
  }

  /** Adds pages to the newest epoch; `pages` is copied. */
  add(pages: Uint32Array): void {
    if (pages.length > 0) this.#epochs.at(-1)!.pages.push(pages.slice());
  }

  /** The backup holds `epoch` and all before it. */
  acknowledge(epoch: Epoch): void {
    this.#epochs = this.#epochs.filter((inFlight) => inFlight.epoch > epoch);
  }

  /** Forgets them all, and adds their pages to `into`. */
  drain(into: PageSet): void {
    for (const { pages } of this.#epochs) {
      for (const list of pages) for (const page of list) into.add(page);
    }
    this.#epochs = [];
  }
}
