import { UnderstudyError } from '../errors.ts';
import { networkBounds } from './network-bounds.ts';

/**
 * What QEMU's `-netdev stream` speaks on its socket, in both directions:
 *
 * ```
 * 0  4  length n of the frame, big endian
 * 4  n  an Ethernet frame without its check sequence
 * ```
 *
 * Finds the frames in whatever pieces a socket delivers.
 */
export class FrameSplitter {
  readonly #onFrame: (frame: Uint8Array) => void;
  readonly #header = new Uint8Array(lengthBytes);
  #headerFilled = 0;
  /** The frame that a piece ended in, or undefined between frames and within a length. */
  #frame: Uint8Array | undefined;
  #frameFilled = 0;

  /**
   * `onFrame` is called for each frame in order, of any length from 0: a guest may send anything.
   * The frame may be a view of the piece: who keeps it copies it.
   */
  constructor(onFrame: (frame: Uint8Array) => void) {
    this.#onFrame = onFrame;
  }

  /** Throws `E_CABLE_CORRUPT` for an impossible length: this stream is of no more use. */
  push(piece: Uint8Array): void {
    let at = 0;
    while (at < piece.length) {
      at = this.#frame === undefined ? this.#takeLength(piece, at) : this.#takeRest(piece, at);
    }
  }

  /** True where the last piece ended within a length or a frame. */
  get isMidFrame(): boolean {
    return this.#headerFilled > 0 || this.#frame !== undefined;
  }

  /** Takes a length, or a part of it, and the whole frame behind it if it is there. */
  #takeLength(piece: Uint8Array, from: number): number {
    const taken = Math.min(lengthBytes - this.#headerFilled, piece.length - from);
    this.#header.set(piece.subarray(from, from + taken), this.#headerFilled);
    this.#headerFilled += taken;
    const at = from + taken;
    if (this.#headerFilled < lengthBytes) return at;
    this.#headerFilled = 0;
    const length = readLength(this.#header);
    if (length <= piece.length - at) {
      this.#onFrame(piece.subarray(at, at + length));
      return at + length;
    }
    this.#frame = new Uint8Array(length);
    this.#frameFilled = 0;
    return at;
  }

  #takeRest(piece: Uint8Array, from: number): number {
    const frame = this.#frame!;
    const taken = Math.min(frame.length - this.#frameFilled, piece.length - from);
    frame.set(piece.subarray(from, from + taken), this.#frameFilled);
    this.#frameFilled += taken;
    if (this.#frameFilled === frame.length) {
      this.#frame = undefined;
      this.#onFrame(frame);
    }
    return from + taken;
  }
}

/** The frame as it goes into the stream. Throws a RangeError for one that QEMU would refuse. */
export function joinFrame(frame: Uint8Array): Uint8Array {
  const { frameBytesMin, frameBytesMax } = networkBounds;
  if (frame.length < frameBytesMin || frame.length > frameBytesMax) {
    throw new RangeError(`a frame of ${frame.length} bytes`);
  }
  const bytes = Buffer.allocUnsafe(lengthBytes + frame.length);
  bytes.writeUInt32BE(frame.length, 0);
  bytes.set(frame, lengthBytes);
  return bytes;
}

const lengthBytes = 4;

function readLength(header: Uint8Array): number {
  const [a, b, c, d] = header as unknown as readonly [number, number, number, number];
  const length = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
  if (length <= networkBounds.frameBytesMax) return length;
  throw new UnderstudyError('E_CABLE_CORRUPT', `a frame of ${length} bytes on the guest's cable`, {
    hint: 'The cable is connected anew. See that nothing but QEMU uses the socket; see qemu.log.',
    fields: { frameBytes: length, frameBytesMax: networkBounds.frameBytesMax },
  });
}
