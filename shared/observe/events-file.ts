import { closeSync, openSync, write, writeSync } from 'node:fs';
import { systemCode, UnderstudyError } from '../errors.ts';
import type { TimedEvent } from './events.ts';

/** Beyond this, events are dropped (and counted): a stalled disk must not cost memory. */
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
 * Events as text in a file. What is emitted in one turn of the event loop is
 * written together, soon after: a kill loses at most that. One write is under way at a time.
 */
export class EventsFile {
  readonly #file: string;
  readonly #fd: number;
  readonly #onFailure: (error: UnderstudyError) => void;
  readonly #format: EventsFormat;
  #waiting: string[] = [];
  #waitingBytes = 0;
  #droppedCount = 0;
  #state: 'idle' | 'due' | 'writing' | 'ended' = 'idle';
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
    if (bytes.length === 0) {
      this.#state = 'idle';
      for (const done of this.#whenIdle.splice(0)) done();
      return;
    }
    this.#state = 'writing';
    this.#writeFrom(bytes, 0);
  }

  #writeFrom(bytes: Buffer, offset: number): void {
    write(this.#fd, bytes, offset, bytes.length - offset, null, (error, written) => {
      if (this.#state === 'ended') return;
      if (error !== null) {
        this.#end();
        this.#onFailure(eventsFileError(this.#file, error));
      } else if (offset + written < bytes.length) this.#writeFrom(bytes, offset + written);
      else this.#write();
    });
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
