import type { Timeline } from './timeline.ts';

/**
 * What happened in a run, in order: a hash of all of it, and the words for who wants to read them.
 * Two runs of one seed have one hash.
 */
export class Trace {
  readonly lines: string[] = [];
  readonly #timeline: Timeline;
  readonly #linesMax: number;
  #hash = 0x811c9dc5;

  /** `linesMax`: how many of the last lines are kept. */
  constructor(timeline: Timeline, linesMax: number) {
    this.#timeline = timeline;
    this.#linesMax = linesMax;
  }

  get hash(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, '0');
  }

  say(who: string, what: string): void {
    const line = `${this.#timeline.nowMs.toFixed(3).padStart(10)} ${who.padEnd(7)} ${what}`;
    for (let i = 0; i < line.length; i++) this.#add(line.charCodeAt(i));
    this.lines.push(line);
    if (this.lines.length > 2 * this.#linesMax) this.lines.splice(0, this.#linesMax);
  }

  /** Something too frequent for words. */
  number(value: number): void {
    this.#add(value);
    this.#add(this.#timeline.nowMs * 1024);
  }

  #add(value: number): void {
    this.#hash = Math.imul(this.#hash ^ value, 0x01000193);
  }
}
