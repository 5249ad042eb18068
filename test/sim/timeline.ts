/**
 * Virtual time: events in order of their instants, those of one instant in the order in which they
 * were planned. Between two events every promise that can go on has gone on.
 */
export class Timeline {
  #nowMs = 0;
  #planned = 0;
  #happened = 0;
  readonly #heap: Planned[] = [];

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Events that happened: two runs of one seed have as many at each instant. */
  get happened(): number {
    return this.#happened;
  }

  /** Plans `run` in `ms`. Returns how to call it off. */
  after(ms: number, run: () => void): () => void {
    const event: Planned = { atMs: this.#nowMs + Math.max(0, ms), order: this.#planned++, run };
    this.#push(event);
    return () => {
      event.run = undefined;
    };
  }

  /** Lets time pass until `isOver` says so after an event, or an event throws. */
  async run(isOver: () => boolean): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      let ended = false;
      const one = () => {
        if (ended) return;
        try {
          this.#next();
          if (!isOver()) return;
          ended = true;
          resolve();
        } catch (error) {
          ended = true;
          reject(error);
        }
      };
      // Promises are settled after each immediate: many of them in one turn of the loop are cheap.
      const many = () => {
        if (ended) return;
        for (let i = 0; i < 256; i++) setImmediate(one);
        setImmediate(many);
      };
      many();
    });
  }

  #next(): void {
    for (;;) {
      const event = this.#pop();
      if (event === undefined) throw new Error('nothing will ever happen again');
      const { run } = event;
      if (run === undefined) continue;
      this.#nowMs = event.atMs;
      this.#happened += 1;
      run();
      return;
    }
  }

  #push(event: Planned): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!isBefore(event, heap[above]!)) break;
      heap[at] = heap[above]!;
      at = above;
    }
    heap[at] = event;
  }

  #pop(): Planned | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && isBefore(heap[below + 1]!, heap[below]!)) below += 1;
      if (!isBefore(heap[below]!, last)) break;
      heap[at] = heap[below]!;
      at = below;
    }
    heap[at] = last;
    return first;
  }
}

interface Planned {
  readonly atMs: number;
  readonly order: number;
  /** Undefined once it was called off. */
  run: (() => void) | undefined;
}

const isBefore = (a: Planned, b: Planned): boolean =>
  a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
