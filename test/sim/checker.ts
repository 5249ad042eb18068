/**
 * Judges a run from outside: what clients asked and were told, which output left which copy of the
 * guest, and what each copy did. Imports nothing of what it checks.
 *
 * A guest is a sequence of steps. A copy begins where a host boots it or resumes it: it then has a
 * parent and the parent's step that it goes on from. Each step has a chain value that depends on
 * all steps before it, so equal values mean equal histories.
 */
export class Checker {
  readonly failures: string[] = [];
  readonly counts = {
    answers: 0,
    takeovers: 0,
    switchovers: 0,
    boots: 0,
    lateOutputs: 0,
    outputs: 0,
    /** Pages that an encoder read again, to share what is in them. */
    readAgain: 0,
  };
  readonly #copies = new Map<number, Copy>();
  readonly #operations = new Map<string, Operation>();
  readonly #values = new Map<number, string>();
  #newest: Output | undefined;
  #invoked = 0;
  /** The largest value that was answered: whatever is asked from now on must get a larger one. */
  #answeredMax = 0;

  /** A host starts the guest from nothing. `mayLose`: an unprotected copy was lost before. */
  booted(id: number, pageCount: number, mayLose: boolean): void {
    if (this.counts.boots > 0 && !mayLose) this.#fail(`copy ${id} was booted anew`);
    this.counts.boots += 1;
    // Of a guest that was lost nothing is judged any more; what nobody answered is still asked.
    this.#copies.clear();
    for (const [request, { value }] of this.#operations) {
      if (value !== undefined) this.#operations.delete(request);
      else this.#operations.set(request, { atLeast: 1, value });
    }
    this.#copies.set(id, newCopy(id, undefined, 0, pageCount));
    this.#values.clear();
    this.#newest = undefined;
    this.#invoked = this.#operations.size;
    this.#answeredMax = 0;
  }

  /** A copy took a step and wrote these pages, which are now so. */
  stepped(id: number, step: number, chain: number, pages: ReadonlyMap<number, number>): void {
    const copy = this.#copies.get(id);
    // Of a guest that was lost, and booted anew since: it woke, and nobody may hear of it.
    if (copy === undefined) return;
    const at = step - copy.baseStep - 1;
    if (at !== copy.chains.length) this.#fail(`copy ${id} made step ${step} out of turn`);
    copy.chains[at] = chain;
    for (const [page, sum] of pages) copy.writes[page]!.push({ step, sum });
  }

  /** A host resumes the guest; `pages`: what RAM says of each. */
  resumed(id: number, step: number, chain: number, pages: readonly PageState[]): void {
    this.counts.takeovers += 1;
    const parent = [...this.#copies.values()].reverse().find((copy) => {
      if (step === 0) return copy.parent === undefined && chain === 0;
      return step > copy.baseStep && copy.chains[step - copy.baseStep - 1] === chain;
    });
    if (parent === undefined) {
      this.#fail(`copy ${id} was resumed in a state that no copy was ever in (step ${step})`);
    } else {
      for (const [page, found] of pages.entries()) {
        const expected = this.#lastWrite(parent, page, step);
        if (expected === undefined && found.step === 0) continue;
        if (found.step === expected?.step && found.sum === expected.sum) continue;
        const is = `is of step ${found.step} with sum ${found.sum}`;
        const should = `not of ${expected?.step} with ${expected?.sum}`;
        this.#fail(`copy ${id}: page ${page} ${is}, ${should}, at ${step}`);
        break;
      }
    }
    this.#copies.set(id, newCopy(id, parent, step, pages.length));
  }

  /** Copy `id` was resumed by a switchover: the one before it stood still from that step on. */
  handedOver(id: number): void {
    this.counts.switchovers += 1;
    const copy = this.#copies.get(id)!;
    const { parent, baseStep } = copy;
    if (parent === undefined || parent.baseStep + parent.chains.length === baseStep) return;
    this.#fail(`copy ${id}: a switchover lost what copy ${parent.id} did after step ${baseStep}`);
  }

  /** Output of a copy's step is seen outside. */
  seen(id: number, step: number): void {
    this.counts.outputs += 1;
    const copy = this.#copies.get(id);
    if (copy === undefined) {
      // Of a guest that was lost, and booted anew since.
      this.counts.lateOutputs += 1;
      return;
    }
    const newest = this.#newest;
    if (newest === undefined || this.#contains(copy, step, newest)) {
      this.#newest = { copy, step };
      return;
    }
    // It is late: fine, if the copy that spoke since knows of it. Else two guests have spoken.
    if (this.#contains(newest.copy, newest.step, { copy, step })) {
      if (copy !== newest.copy) this.counts.lateOutputs += 1;
      return;
    }
    this.#fail(
      `two copies: copy ${id} at step ${step} after copy ${newest.copy.id} at ${newest.step}`,
    );
  }

  asked(request: string): void {
    this.#invoked += 1;
    this.#operations.set(request, { atLeast: this.#answeredMax + 1, value: undefined });
  }

  /** Copy `id` answers. The same answer may come again, another one may not. */
  answered(request: string, value: number, id: number): void {
    const operation = this.#operations.get(request);
    if (operation === undefined || !this.#copies.has(id)) return;
    if (operation.value !== undefined) {
      if (operation.value !== value) this.#fail(`${request} got ${operation.value}, then ${value}`);
      return;
    }
    operation.value = value;
    this.counts.answers += 1;
    const other = this.#values.get(value);
    if (other !== undefined) this.#fail(`${request} and ${other} both got ${value}`);
    this.#values.set(value, request);
    if (value < operation.atLeast) {
      this.#fail(`${request} got ${value}, although ${operation.atLeast - 1} was told before`);
    }
    if (value > this.#invoked) this.#fail(`${request} got ${value} of ${this.#invoked}`);
    this.#answeredMax = Math.max(this.#answeredMax, value);
  }

  fail(what: string): void {
    this.#fail(what);
  }

  #fail(what: string): void {
    if (this.failures.length < 20) this.failures.push(what);
  }

  /** Whether the state of `copy` at `step` knows of `output`. */
  #contains(copy: Copy, step: number, output: Output): boolean {
    let limit = step;
    for (let at: Copy | undefined = copy; at !== undefined; at = at.parent) {
      if (at === output.copy) return output.step <= limit;
      limit = Math.min(limit, at.baseStep);
    }
    return false;
  }

  #lastWrite(from: Copy, page: number, step: number): PageState | undefined {
    let limit = step;
    for (let copy: Copy | undefined = from; copy !== undefined; copy = copy.parent) {
      const writes = copy.writes[page]!;
      for (let i = writes.length - 1; i >= 0; i--) {
        if (writes[i]!.step <= limit) return writes[i]!;
      }
      limit = Math.min(limit, copy.baseStep);
    }
    return undefined;
  }
}

/** The step that wrote a page last, and a checksum of the whole page since then. */
export interface PageState {
  readonly step: number;
  readonly sum: number;
}

interface Copy {
  readonly id: number;
  readonly parent: Copy | undefined;
  readonly baseStep: number;
  /** Chain value of each step after the base. */
  readonly chains: number[];
  /** By page: what became of it, write by write. */
  readonly writes: PageState[][];
}

interface Output {
  readonly copy: Copy;
  readonly step: number;
}

interface Operation {
  readonly atLeast: number;
  value: number | undefined;
}

function newCopy(id: number, parent: Copy | undefined, baseStep: number, pageCount: number): Copy {
  const writes = Array.from({ length: pageCount }, (): PageState[] => []);
  return { id, parent, baseStep, chains: [], writes };
}
