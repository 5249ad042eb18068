import { command, magic, payloadBytesMax, requestBytes } from './numbers.ts';

/**
 * Cuts what a client sends into requests, without I/O:
 *
 *   u32 magic · u16 flags · u16 command · 8 bytes cookie · u64 offset · u32 length · data of WRITE
 */
export class RequestReader {
  readonly #head = Buffer.alloc(requestBytes);
  #headBytes = 0;
  #open: OpenRequest | undefined;
  #payload: Buffer | undefined;
  #payloadBytes = 0;

  /**
   * The requests that `chunk` completes, in order. A payload is a view of `chunk` where it can
   * be. Undefined where the client says what is not NBD: nothing more can be understood then.
   */
  push(chunk: Buffer): NbdRequest[] | undefined {
    const found: NbdRequest[] = [];
    let at = 0;
    while (at < chunk.length) {
      if (this.#open === undefined) {
        const whole = this.#headBytes === 0 && chunk.length - at >= requestBytes;
        const taken = whole ? requestBytes : this.#fillHead(chunk, at);
        const head = whole ? chunk.subarray(at, at + requestBytes) : this.#head;
        at += taken;
        if (!whole) {
          if (this.#headBytes < requestBytes) return found;
          this.#headBytes = 0;
        }
        const request = parse(head);
        if (request === undefined) return undefined;
        if (request.command !== command.write || request.length === 0) found.push(request);
        else this.#open = request;
      } else {
        at += this.#takePayload(this.#open, chunk, at, found);
      }
    }
    return found;
  }

  /** Bytes of a request that is not whole yet. */
  get pendingBytes(): number {
    return this.#headBytes + this.#payloadBytes + (this.#open === undefined ? 0 : requestBytes);
  }

  #fillHead(chunk: Buffer, at: number): number {
    const taken = chunk.copy(this.#head, this.#headBytes, at, at + requestBytes - this.#headBytes);
    this.#headBytes += taken;
    return taken;
  }

  /** Returns how many bytes of `chunk` belonged to the payload. */
  #takePayload(open: OpenRequest, chunk: Buffer, at: number, found: NbdRequest[]): number {
    const taken = Math.min(open.length - this.#payloadBytes, chunk.length - at);
    const part = chunk.subarray(at, at + taken);
    if (taken === open.length) open.payload = part;
    else if (open.length <= payloadBytesMax) {
      this.#payload ??= Buffer.allocUnsafeSlow(open.length);
      part.copy(this.#payload, this.#payloadBytes);
      open.payload = this.#payload;
    }
    this.#payloadBytes += taken;
    if (this.#payloadBytes === open.length) {
      // Too large to be kept: it is refused once it went past.
      if (open.length > payloadBytesMax) open.payload = undefined;
      found.push(open);
      this.#open = undefined;
      this.#payload = undefined;
      this.#payloadBytes = 0;
    }
    return taken;
  }
}

export interface NbdRequest {
  readonly command: number;
  readonly flags: number;
  /** Names the request to its client; here only two halves to be sent back. */
  readonly cookieHigh: number;
  readonly cookieLow: number;
  /** Infinity where it is above 2^53. */
  readonly offset: number;
  readonly length: number;
  /** Of a WRITE that is not too large. */
  readonly payload: Buffer | undefined;
}

type OpenRequest = { -readonly [K in keyof NbdRequest]: NbdRequest[K] };

function parse(head: Buffer): OpenRequest | undefined {
  if (head.readUInt32BE(0) !== magic.request) return undefined;
  const offset = head.readUInt32BE(16) * 2 ** 32 + head.readUInt32BE(20);
  return {
    flags: head.readUInt16BE(4),
    command: head.readUInt16BE(6),
    cookieHigh: head.readUInt32BE(8),
    cookieLow: head.readUInt32BE(12),
    offset: Number.isSafeInteger(offset) ? offset : Number.POSITIVE_INFINITY,
    length: head.readUInt32BE(24),
    payload: undefined,
  };
}
