import { changeHeadBytes, writeChangeHead } from '../wire/disk-body.ts';

export interface ChangeLogOptions {
  /** Largest body that is put together. */
  readonly frameBytes: number;
  /** Changes wait while so much was handed out and has not left. */
  readonly bytesMax: number;
  /** Takes a body, which is no longer the log's, with the epoch of all its changes. */
  readonly handOut: (body: Uint8Array, epoch: number) => void;
}

/**
 * The changes of the running epoch, in order, on their way to the backup: put together in bodies
 * of DISK frames, which leave when they are full, when the epoch changes, or soon.
 */
export class ChangeLog {
  readonly #options: ChangeLogOptions;
  #body: Uint8Array | undefined;
  #filled = 0;
  #epoch = 0;
  #outstanding = 0;
  #timer: NodeJS.Timeout | undefined;
  /** Whole bodies that came back: memory that is used again costs less than new memory. */
  readonly #spares: Uint8Array[] = [];

  constructor(options: ChangeLogOptions) {
    this.#options = options;
  }

  get hasRoom(): boolean {
    return this.#outstanding < this.#options.bytesMax;
  }

  /** `memory`: of the body that left. */
  left(bytes: number, memory: ArrayBuffer): void {
    this.#outstanding -= bytes;
    const isWhole = memory.byteLength === this.#options.frameBytes;
    if (isWhole && this.#spares.length < sparesMax) this.#spares.push(new Uint8Array(memory));
  }

  data(epoch: number, disk: number, offset: number, source: Uint8Array): void {
    let done = 0;
    while (done < source.length) {
      const room = this.#open(epoch, changeHeadBytes + 1) - changeHeadBytes;
      const part = source.subarray(done, done + Math.min(room, source.length - done));
      const change = { disk, offset: offset + done, length: part.length };
      const body = this.#body!;
      writeChangeHead(viewOf(body), this.#filled, change, true);
      body.set(part, this.#filled + changeHeadBytes);
      this.#filled += changeHeadBytes + part.length;
      done += part.length;
    }
  }

  zeros(epoch: number, disk: number, offset: number, length: number): void {
    if (length === 0) return;
    this.#open(epoch, changeHeadBytes);
    writeChangeHead(viewOf(this.#body!), this.#filled, { disk, offset, length }, false);
    this.#filled += changeHeadBytes;
  }

  /** Hands out what there is. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const body = this.#body;
    if (body === undefined) return;
    this.#body = undefined;
    const filled = this.#filled;
    this.#filled = 0;
    this.#outstanding += filled;
    // A body that is nearly empty is not worth the memory of a full one.
    const part = body.subarray(0, filled);
    this.#options.handOut(filled < body.length / 2 ? part.slice() : part, this.#epoch);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#body = undefined;
  }

  /** Makes room for at least `bytes`; returns how much there is. */
  #open(epoch: number, bytes: number): number {
    const { frameBytes } = this.#options;
    if (this.#body !== undefined && (this.#epoch !== epoch || this.#filled + bytes > frameBytes)) {
      this.flush();
    }
    if (this.#body === undefined) {
      this.#body = this.#spares.pop() ?? new Uint8Array(new ArrayBuffer(frameBytes));
      this.#filled = 0;
      this.#epoch = epoch;
      this.#timer = setTimeout(() => this.flush(), delayMs);
    }
    return frameBytes - this.#filled;
  }
}

/** Bodies of a MiB or less. */
const sparesMax = 8;

/** How long a change may wait for others to leave with. */
const delayMs = 5;

const viewOf = (body: Uint8Array): DataView => new DataView(body.buffer, body.byteOffset);
