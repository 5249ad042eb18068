/**
 * Keeps the calls of one owner apart: a second one while the first goes on is a mistake of the
 * caller, not something to wait for.
 */
export class OneAtATime {
  #busy: string | null = null;

  /** Throws where something goes on. */
  check(call: string): void {
    if (this.#busy !== null) throw new Error(`${call}: ${this.#busy} goes on`);
  }

  async run<T>(call: string, work: () => Promise<T>): Promise<T> {
    this.check(call);
    this.#busy = call;
    try {
      return await work();
    } finally {
      this.#busy = null;
    }
  }
}
