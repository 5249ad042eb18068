import { bounds } from '../bounds.ts';
import { corruptBody } from './corrupt-body.ts';
import { type Part, partBytesMax } from './stream-body.ts';

/** Cuts `bytes` into parts that fit a frame: at least one, also of nothing. Views, not copies. */
export function* splitParts(
  kind: Part['kind'],
  bytes: Uint8Array,
  partBytes: number = bounds.chunkBytesMax,
): Generator<Part> {
  const totalBytes = bytes.byteLength;
  if (totalBytes > partBytesMax(kind)) throw new Error(`a ${kind} of ${totalBytes} bytes`);
  const count = Math.max(1, Math.ceil(totalBytes / partBytes));
  for (let index = 0; index < count; index++) {
    const payload = bytes.subarray(index * partBytes, (index + 1) * partBytes);
    yield { kind, index, count, totalBytes, payload };
  }
}

/** Puts parts together again. Allocates once, when the first part has passed its bound. */
export class PartList {
  readonly #kind: Part['kind'];
  #whole: Uint8Array | undefined;
  #count = 0;
  #next = 0;
  #filled = 0;

  constructor(kind: Part['kind']) {
    this.#kind = kind;
  }

  get complete(): boolean {
    return this.#whole !== undefined && this.#next === this.#count;
  }

  /** Throws `E_FRAME_CORRUPT` where `part` is not the one that comes next. */
  add(part: Part): void {
    this.#whole ??= this.#open(part);
    const room = this.#whole.byteLength - this.#filled;
    const fits =
      part.kind === this.#kind &&
      part.index === this.#next &&
      part.count === this.#count &&
      part.totalBytes === this.#whole.byteLength &&
      part.payload.byteLength <= room &&
      (part.index + 1 < part.count || part.payload.byteLength === room);
    if (!fits) {
      throw corruptBody(`${part.kind}: part ${part.index} of ${part.count} is out of place`);
    }
    this.#whole.set(part.payload, this.#filled);
    this.#filled += part.payload.byteLength;
    this.#next += 1;
  }

  /** The whole. Only once it is complete. */
  bytes(): Uint8Array {
    if (this.#whole === undefined || !this.complete) throw new Error(`${this.#kind} is not whole`);
    return this.#whole;
  }

  #open(part: Part): Uint8Array {
    if (part.totalBytes > partBytesMax(this.#kind)) {
      throw corruptBody(`${part.kind}: ${part.totalBytes} bytes in all`);
    }
    this.#count = part.count;
    return new Uint8Array(part.totalBytes);
  }
}
