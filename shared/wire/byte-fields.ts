import { corruptBody } from './corrupt-body.ts';

/**
 * Reads little-endian fields of a body one after the other; `what` names the body in errors.
 * Throws `E_FRAME_CORRUPT` where a field is missing, too large, or bytes are left over.
 */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #what: string;
  #at = 0;

  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#what = what;
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  /** A u64 that must be below 2^53. */
  safe(): number {
    const at = this.#take(8);
    const high = this.#view.getUint32(at + 4, true);
    const value = high * 2 ** 32 + this.#view.getUint32(at, true);
    if (!Number.isSafeInteger(value)) throw corruptBody(`${this.#what}: a number over 2^53`);
    return value;
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#take(8), true);
  }

  f64(): number {
    return this.#view.getFloat64(this.#take(8), true);
  }

  /** `count` u64 in memory of their own. The caller has checked `count` against a bound. */
  u64s(count: number): BigUint64Array {
    const at = this.#take(count * 8);
    // Not `slice`: a Buffer's gives a view, at any alignment.
    const copy = new Uint8Array(this.#bytes.subarray(at, at + count * 8));
    return new BigUint64Array(copy.buffer);
  }

  /** `count` bytes, as a view. */
  bytes(count: number): Uint8Array {
    const at = this.#take(count);
    return this.#bytes.subarray(at, at + count);
  }

  /** All that is left, as a view. */
  rest(): Uint8Array {
    const from = this.#at;
    this.#at = this.#bytes.byteLength;
    return this.#bytes.subarray(from);
  }

  end(): void {
    const left = this.#bytes.byteLength - this.#at;
    if (left !== 0) throw corruptBody(`${this.#what}: ${left} bytes too many`);
  }

  #take(count: number): number {
    const at = this.#at;
    if (at + count > this.#bytes.byteLength) {
      throw corruptBody(`${this.#what}: ends after ${this.#bytes.byteLength} bytes`);
    }
    this.#at = at + count;
    return at;
  }
}

/** Writes fields as `ByteReader` reads them. The size in bytes is fixed at the start. */
export class ByteWriter {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
    this.#view = new DataView(this.bytes.buffer);
  }

  u32(value: number): this {
    if (!Number.isInteger(value) || value < 0 || value > 0xffffffff) throw new RangeError('u32');
    this.#view.setUint32(this.#at, value, true);
    this.#at += 4;
    return this;
  }

  safe(value: number): this {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${value} as a u64`);
    this.#view.setUint32(this.#at, value % 2 ** 32, true);
    this.#view.setUint32(this.#at + 4, Math.floor(value / 2 ** 32), true);
    this.#at += 8;
    return this;
  }

  u64(value: bigint): this {
    this.#view.setBigUint64(this.#at, value, true);
    this.#at += 8;
    return this;
  }

  f64(value: number): this {
    this.#view.setFloat64(this.#at, value, true);
    this.#at += 8;
    return this;
  }
}

// The digest lists are copied as they lie in memory.
if (new Uint8Array(new Uint16Array([1]).buffer)[0] !== 1) {
  throw new Error('Understudy runs on little-endian machines only');
}
