import type { GuestMemory } from '../../shared/memory/guest-memory.ts';
import type { PageSet } from '../../shared/page-set.ts';
import type { PageDigester } from './tracked-guest.ts';
import type { DirtyTracker } from './tracker.ts';

/**
 * Written pages by their digests: every allocated page is read and compared with a table of 8
 * bytes a page. Needs nothing of the host and costs a pass over guest RAM each time. A page
 * written with the same bytes is not reported. A page that a running guest writes after it was
 * digested differs from the table at the next `collect`, so no write is lost.
 */
export class ScanTracker implements DirtyTracker {
  readonly kind = 'scan';
  readonly collectsLive = true;
  readonly #memory: GuestMemory;
  readonly #digester: PageDigester;
  /** Two words a page; both 0 for a page that is a hole. */
  readonly #known: Uint32Array;
  readonly #found = new Uint32Array(2 * batchPages);

  constructor(memory: GuestMemory, digester: PageDigester) {
    this.#memory = memory;
    this.#digester = digester;
    this.#known = new Uint32Array(2 * memory.pageCount);
  }

  arm(): void {
    this.#pass(() => undefined);
  }

  collect(into: PageSet): void {
    this.#pass((page) => into.add(page));
  }

  close(): void {}

  #pass(onChanged: (page: number) => void): void {
    const { pageCount } = this.#memory;
    let page = 0;
    while (page < pageCount) {
      const data = this.#memory.nextData(page);
      this.#emptied(page, data?.first ?? pageCount, onChanged);
      if (data === undefined) return;
      this.#digested(data.first, data.end, onChanged);
      page = data.end;
    }
  }

  /** Pages that were given back (a balloon, a discard) read as zeros from now on. */
  #emptied(first: number, end: number, onChanged: (page: number) => void): void {
    const known = this.#known;
    for (let page = first; page < end; page++) {
      if (known[2 * page] === 0 && known[2 * page + 1] === 0) continue;
      known[2 * page] = 0;
      known[2 * page + 1] = 0;
      onChanged(page);
    }
  }

  #digested(first: number, end: number, onChanged: (page: number) => void): void {
    const known = this.#known;
    const found = this.#found;
    for (let from = first; from < end; from += batchPages) {
      const count = Math.min(batchPages, end - from);
      this.#digester.digestPages(this.#memory, from, count, found);
      for (let i = 0; i < count; i++) {
        const at = 2 * (from + i);
        if (known[at] === found[2 * i] && known[at + 1] === found[2 * i + 1]) continue;
        known[at] = found[2 * i]!;
        known[at + 1] = found[2 * i + 1]!;
        onChanged(from + i);
      }
    }
  }
}

/** 256 KiB a read: larger ones are no faster. */
const batchPages = 64;
