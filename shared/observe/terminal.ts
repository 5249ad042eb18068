/** What of a stream the terminal needs; `process.stderr` is one. */
export interface TerminalStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

const eraseLine = '\r\x1b[2K';

/**
 * A stream that people read: lines, and below them, on a terminal, one status line that is
 * redrawn. Off a terminal the status is not shown.
 */
export class Terminal {
  readonly isColoured: boolean;
  readonly #stream: TerminalStream;
  #status = '';

  constructor(stream: TerminalStream, environment: NodeJS.ProcessEnv = process.env) {
    this.#stream = stream;
    // https://no-color.org: any value but the empty one.
    const isPlain = (environment.NO_COLOR ?? '') !== '' || environment.TERM === 'dumb';
    this.isColoured = stream.isTTY === true && !isPlain;
  }

  get isTTY(): boolean {
    return this.#stream.isTTY === true;
  }

  /** Writes a line above the status line. */
  print(line: string): void {
    if (this.#status === '') this.#stream.write(`${line}\n`);
    else this.#stream.write(`${eraseLine}${line}\n${this.#fitted()}`);
  }

  /** Replaces the status line; an empty text takes it away. */
  status(text: string): void {
    if (!this.isTTY || text === this.#status) return;
    this.#status = text;
    this.#stream.write(`${eraseLine}${this.#fitted()}`);
  }

  /** Invariant: the status never wraps, or erasing one line would not erase it. */
  #fitted(): string {
    const columnsMax = (this.#stream.columns ?? 80) - 1;
    if (this.#status.length <= columnsMax) return this.#status;
    return `${this.#status.slice(0, Math.max(0, columnsMax - 1))}…`;
  }
}
