import type { PageSet } from '../../shared/page-set.ts';

/**
 * Which pages will be written again before the pause, so that sending them live would be in vain:
 * the data filter of Ruan, Cao and Wang ("Efficient Live Migration of Virtual Machines with a
 * Novel Data Filter"). What the paper samples in a modelling phase is observed here in each
 * epoch: a page that a live round found written either was written again before the pause or was
 * not. Each page is a Markov chain of four states, moved one step by each observation:
 *
 *   0 cold ⇄ 1 ⇄ 2 ⇄ 3 hot        written again: to the right; not: to the left
 *
 * States 2 and 3 are the **local writable working set**: one odd epoch does not move a page out
 * of it, and a page that has left a program's working set is out after two. Withheld pages are
 * observed too, so every page finds its way back, which the paper asks of a filter.
 */
export class WriteForecast {
  readonly #states: Uint8Array;
  readonly #list = new Uint32Array(1024);
  #hotPages = 0;

  constructor(pageCount: number) {
    this.#states = new Uint8Array(pageCount);
  }

  /** Pages forecast to be written again. */
  get hotPages(): number {
    return this.#hotPages;
  }

  isHot(page: number): boolean {
    return this.#states[page]! >= hotFrom;
  }

  /** Takes the hot pages out of `pages`. */
  removeHot(pages: PageSet): void {
    if (this.#hotPages === 0) return;
    this.#eachOf(pages, (page) => {
      if (this.isHot(page)) pages.delete(page);
    });
  }

  /** Of the pages that a live round found, those in `again` were written again before the pause. */
  observe(found: PageSet, again: PageSet): void {
    const states = this.#states;
    this.#eachOf(found, (page) => {
      const before = states[page]!;
      const after = again.has(page) ? Math.min(before + 1, hottest) : Math.max(before - 1, 0);
      states[page] = after;
      this.#hotPages += Number(after >= hotFrom) - Number(before >= hotFrom);
    });
  }

  #eachOf(pages: PageSet, visit: (page: number) => void): void {
    for (let from = 0; ; ) {
      const count = pages.take(from, this.#list);
      for (let i = 0; i < count; i++) visit(this.#list[i]!);
      if (count < this.#list.length) return;
      from = this.#list[count - 1]! + 1;
    }
  }
}

const hotFrom = 2;
const hottest = 3;
