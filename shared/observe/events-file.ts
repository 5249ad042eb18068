import { closeSync, openSync, writeSync } from 'node:fs';
import { systemCode, UnderstudyError } from '../errors.ts';
import type { TimedEvent } from './events.ts';

/** Beyond this, events of one turn are dropped (and counted). */
const waitingBytesMax = 4 * 1024 * 1024;

/** How events become text. */
export interface EventsFormat {
  /** `a`: after what is there; `w`: instead. */
  readonly flags: 'a' | 'w';
  readonly head: string;
  /** Text of an event, or '' for none. */
  text(event: TimedEvent): string;
  /** In place of events that there was no room for. */
  dropped(count: number): string;
  readonly tail: string;
}

/** One JSON object a line. */
const jsonLines: EventsFormat = {
  flags: 'a',
  head: '',
  text: (event) => `${JSON.stringify(event)}\n`,
  dropped: (count) => `${JSON.stringify({ kind: 'dropped', count })}\n`,
  tail: '',
};

/**
 * Events as text in a file. What is emitted in one turn of the event loop is written together at its
 * end, and by then it is in the file, not on its way there: a kill loses at most that turn. So COMMIT,
 * which waits for a turn after the epoch's event, goes out for recorded epochs only.
 */
export class EventsFile {
  readonly #file: string;
  readonly #fd: number;
  readonly #onFailure: (error: UnderstudyError) => void;
  readonly #format: EventsFormat;
  #waiting: string[] = [];
  #waitingBytes = 0;
  #droppedCount = 0;
  #state: 'idle' | 'due' | 'ended' = 'idle';
  #whenIdle: (() => void)[] = [];

  /** Throws `E_EVENTS_FILE`; a failure later goes to `onFailure`, once, and ends the writing. */
  constructor(
    file: string,
    onFailure: (error: UnderstudyError) => void,
    format: EventsFormat = jsonLines,
  ) {
    this.#file = file;
    this.#onFailure = onFailure;
    this.#format = format;
    try {
      this.#fd = openSync(file, format.flags, 0o640);
    } catch (error) {
      throw eventsFileError(file, error);
    }
    this.#push(format.head);
    process.on('exit', this.#flushAtExit);
  }

  add(event: TimedEvent): void {
    if (this.#state === 'ended') return;
    const line = this.#format.text(event);
    if (line === '') return;
    if (this.#waitingBytes + line.length > waitingBytesMax) {
      this.#droppedCount += 1;
      return;
    }
    this.#push(line);
    if (this.#state !== 'idle') return;
    this.#state = 'due';
    setImmediate(() => this.#write());
  }

  /** Writes what is waiting and lets go of the file. */
  async close(): Promise<void> {
    if (this.#state === 'ended') return;
    if (this.#state !== 'idle') await new Promise<void>((done) => this.#whenIdle.push(done));
    // A failed write has ended it meanwhile.
    if (this.#isEnded()) return;
    this.#push(this.#format.tail);
    this.#flushAtExit();
    this.#end();
  }

  #write(): void {
    if (this.#state === 'ended') return;
    if (this.#droppedCount > 0) {
      this.#push(this.#format.dropped(this.#droppedCount));
      this.#droppedCount = 0;
    }
    const bytes = this.#take();
    try {
      for (let done = 0; done < bytes.length; ) done += writeSync(this.#fd, bytes, done);
    } catch (error) {
      this.#end();
      this.#onFailure(eventsFileError(this.#file, error));
      return;
    }
    this.#state = 'idle';
    for (const done of this.#whenIdle.splice(0)) done();
  }

  #isEnded(): boolean {
    return this.#state === 'ended';
  }

  #push(line: string): void {
    this.#waiting.push(line);
    this.#waitingBytes += line.length;
  }

  #take(): Buffer {
    const bytes = Buffer.from(this.#waiting.join(''));
    this.#waiting = [];
    this.#waitingBytes = 0;
    return bytes;
  }

  #end(): void {
    this.#state = 'ended';
    process.off('exit', this.#flushAtExit);
    closeSync(this.#fd);
    for (const done of this.#whenIdle.splice(0)) done();
  }

  readonly #flushAtExit = (): void => {
    try {
      writeSync(this.#fd, this.#take());
    } catch {
      // The process is ending; there is nobody left to tell.
    }
  };
}

function eventsFileError(file: string, cause: unknown): UnderstudyError {
  const code = systemCode(cause) ?? 'unknown error';
  return new UnderstudyError('E_EVENTS_FILE', `events can't be written to ${file} (${code})`, {
    hint: 'log.eventsFile and --trace need a folder that exists, with room, writable for this user',
    fields: { file, systemCode: code },
    cause,
  });
}
