import { get } from 'node:http';
import { monotonicClock } from '../../shared/clock.ts';

/** How a download went so far. */
export interface DownloadState {
  readonly lines: number;
  readonly bytes: number;
  /** Longest time in which nothing came. */
  readonly longestGapMs: number;
  /** Why it is over, or what was wrong with what came; undefined while it goes on. */
  readonly brokenBy: string | undefined;
}

/**
 * One HTTP request whose answer has no end: the numbers from 1 on, a line each, so that a byte
 * that is lost, doubled or of another copy of the guest shows.
 */
export class Download {
  #lines = 0;
  #bytes = 0;
  #rest = '';
  #lastAtMs = monotonicClock.nowMs();
  #longestGapMs = 0;
  #brokenBy: string | undefined;
  readonly #request;

  constructor(url: string) {
    this.#request = get(url, { agent: false }, (response) => {
      if (response.statusCode !== 200) this.#break(`status ${response.statusCode}`);
      response.setEncoding('latin1');
      response.on('data', (piece: string) => this.#take(piece));
      response.on('close', () => this.#break('the connection was closed'));
      response.on('error', (error) => this.#break(String(error)));
    });
    this.#request.on('error', (error) => this.#break(String(error)));
  }

  get state(): DownloadState {
    const sinceMs = monotonicClock.nowMs() - this.#lastAtMs;
    return {
      lines: this.#lines,
      bytes: this.#bytes,
      longestGapMs: Math.max(this.#longestGapMs, sinceMs),
      brokenBy: this.#brokenBy,
    };
  }

  end(): void {
    this.#request.destroy();
  }

  #take(piece: string): void {
    const nowMs = monotonicClock.nowMs();
    if (this.#bytes > 0) {
      this.#longestGapMs = Math.max(this.#longestGapMs, nowMs - this.#lastAtMs);
    }
    this.#lastAtMs = nowMs;
    this.#bytes += piece.length;
    const lines = (this.#rest + piece).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      this.#lines += 1;
      if (line !== String(this.#lines)) this.#break(`line ${this.#lines} is "${line}"`);
    }
  }

  #break(why: string): void {
    this.#brokenBy ??= why;
  }
}
