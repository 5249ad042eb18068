/**
 * Frames in one buffer that is allocated once: taken in at the end, let go at the front, each in
 * one piece. A ring of `windowBytes + 2 × frameBytesMax` holds any `windowBytes` of frames.
 */
export class FrameRing {
  readonly #bytes: Uint8Array;
  readonly #offsets: Uint32Array;
  readonly #lengths: Uint32Array;
  #first = 0;
  #count = 0;
  #tail = 0;

  constructor(capacityBytes: number, framesMax: number) {
    this.#bytes = new Uint8Array(capacityBytes);
    this.#offsets = new Uint32Array(framesMax);
    this.#lengths = new Uint32Array(framesMax);
  }

  get count(): number {
    return this.#count;
  }

  /** Room for a frame of `length` bytes, to be written by the caller; undefined if full. */
  push(length: number): Uint8Array | undefined {
    if (this.#count === this.#offsets.length) return undefined;
    const offset = this.#place(length);
    if (offset === undefined) return undefined;
    const slot = (this.#first + this.#count) % this.#offsets.length;
    this.#offsets[slot] = offset;
    this.#lengths[slot] = length;
    this.#count += 1;
    this.#tail = offset + length;
    return this.#bytes.subarray(offset, offset + length);
  }

  /** The frame `index` places after the oldest. */
  at(index: number): Uint8Array {
    if (index < 0 || index >= this.#count) throw new RangeError(`frame ${index} of ${this.#count}`);
    const slot = (this.#first + index) % this.#offsets.length;
    const offset = this.#offsets[slot]!;
    return this.#bytes.subarray(offset, offset + this.#lengths[slot]!);
  }

  /** Lets the oldest frame go. */
  shift(): void {
    if (this.#count === 0) throw new RangeError('an empty ring has no oldest frame');
    this.#first = (this.#first + 1) % this.#offsets.length;
    this.#count -= 1;
    if (this.#count === 0) this.#tail = 0;
  }

  #place(length: number): number | undefined {
    const capacity = this.#bytes.byteLength;
    if (this.#count === 0) return length <= capacity ? 0 : undefined;
    const head = this.#offsets[this.#first]!;
    // Not empty, so a tail at or before the head has come round.
    if (this.#tail <= head) return this.#tail + length <= head ? this.#tail : undefined;
    if (this.#tail + length <= capacity) return this.#tail;
    return length <= head ? 0 : undefined;
  }
}
