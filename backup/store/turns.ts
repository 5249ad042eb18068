/** Pages worked on before the event loop turns: a few milliseconds. */
export const pagesPerTurn = 1024;

/** Lets the event loop turn once whenever `pagesPerTurn` pages were worked on. */
export class Turns {
  #pages = 0;

  async after(pages: number): Promise<void> {
    this.#pages += pages;
    if (this.#pages < pagesPerTurn) return;
    this.#pages = 0;
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}
