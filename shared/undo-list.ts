/** What has to be undone at the end, in reverse order, each step even if another fails. */
export class UndoList {
  readonly #steps: (() => void | Promise<void>)[] = [];

  /** Does `work`, then undoes what it deferred, however it ended. */
  static async around<T>(work: (undo: UndoList) => Promise<T>): Promise<T> {
    const undo = new UndoList();
    try {
      return await work(undo);
    } finally {
      await undo.run();
    }
  }

  defer(step: () => void | Promise<void>): void {
    this.#steps.push(step);
  }

  /** Throws the first error once every step was tried. */
  async run(): Promise<void> {
    const errors: unknown[] = [];
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  }
}
