import { closeSync, openSync, readSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemCode } from '../shared/errors.ts';
import type { TimedEvent } from '../shared/observe/events.ts';
import { stepError } from './drill-error.ts';

const pollMs = 10;
const chunkBytes = 1 << 18;

export interface WaitOptions {
  /** What is waited for, for messages: "the primary to be protected". */
  readonly what: string;
  readonly deadlineMs: number;
  /** First event to look at, as an index of `events`; default 0. */
  readonly from?: number;
  /** Says why there is nothing to wait for any more, or undefined. */
  readonly givenUp?: () => string | undefined;
  readonly signal?: AbortSignal;
}

/**
 * Reads an agent's events file while the agent adds lines to it. A line that is not whole yet
 * waits for its end; an agent that was killed may leave such a line behind for ever.
 */
export class EventTail {
  readonly events: TimedEvent[] = [];
  readonly #path: string;
  #fd: number | undefined;
  #readBytes = 0;
  #rest = Buffer.alloc(0);

  constructor(path: string) {
    this.#path = path;
  }

  /** Reads what was added since the last call. */
  poll(): void {
    this.#fd ??= openIfThere(this.#path);
    if (this.#fd === undefined) return;
    const chunk = Buffer.alloc(chunkBytes);
    for (;;) {
      const count = readSync(this.#fd, chunk, 0, chunkBytes, this.#readBytes);
      if (count === 0) return;
      this.#readBytes += count;
      this.#take(chunk.subarray(0, count));
    }
  }

  /**
   * The first event for which `matches` is true, and its index. Throws `E_DRILL_STEP` at the
   * deadline, when given up, or when aborted.
   */
  async waitFor<E extends TimedEvent>(
    matches: (event: TimedEvent) => event is E,
    options: WaitOptions,
  ): Promise<{ event: E; index: number }> {
    const endAtMs = performance.now() + options.deadlineMs;
    let next = options.from ?? 0;
    for (;;) {
      // Asked before reading, so that the last words of a process that ended are read.
      const why = options.givenUp?.();
      this.poll();
      for (; next < this.events.length; next++) {
        const event = this.events[next]!;
        if (matches(event)) return { event, index: next };
      }
      if (why !== undefined) throw stepError(`waited for ${options.what}, but ${why}`);
      options.signal?.throwIfAborted();
      if (performance.now() > endAtMs) {
        throw stepError(`waited ${options.deadlineMs} ms for ${options.what}`);
      }
      await sleep(pollMs);
    }
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  #take(bytes: Buffer): void {
    let data = Buffer.concat([this.#rest, bytes]);
    for (;;) {
      const end = data.indexOf(0x0a);
      if (end < 0) break;
      const line = data.toString('utf8', 0, end);
      data = data.subarray(end + 1);
      if (line.trim() === '') continue;
      this.events.push(parseEvent(line, this.#path));
    }
    this.#rest = data;
  }
}

function parseEvent(line: string, path: string): TimedEvent {
  try {
    const event: unknown = JSON.parse(line);
    if (typeof event === 'object' && event !== null && 'kind' in event && 'atMs' in event) {
      return event as TimedEvent;
    }
  } catch (error) {
    throw stepError(`${path} has a line that is no event: ${line.slice(0, 200)}`, {}, error);
  }
  throw stepError(`${path} has a line that is no event: ${line.slice(0, 200)}`);
}

function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, 'r');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
