/**
 * A bounded queue between callbacks, which only post, and one reader, which runs at its own pace.
 * A full mailbox is a broken invariant: its writers are bounded by windows and intervals.
 */
export class Mailbox<T> {
  readonly #capacity: number;
  readonly #items: T[] = [];
  #wake: (() => void) | undefined;
  #closed = false;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** Posts `item`; without effect once the mailbox is closed. */
  post(item: T): void {
    if (this.#closed) return;
    if (this.#items.length >= this.#capacity) throw new Error('a mailbox overflowed');
    this.#items.push(item);
    this.#wake?.();
  }

  /** What was posted is still read; nothing more is accepted. */
  close(): void {
    this.#closed = true;
    this.#wake?.();
  }

  /** The next item, or undefined once the mailbox is closed and empty. One reader at a time. */
  async next(): Promise<T | undefined> {
    while (this.#items.length === 0) {
      if (this.#closed) return undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
    return this.#items.shift();
  }
}
