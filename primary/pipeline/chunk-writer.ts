import { chunkHeaderBytes, groupHeaderBytes, writeChunkHeader } from '../../shared/codec/chunk.ts';
import type { BlockBytes, GeneralCodec } from '../../shared/codec/codec-settings.ts';
import { compressGroup } from '../../shared/codec/general.ts';

/** Puts one chunk payload together (layout: shared/codec/chunk.ts), in a buffer that is reused. */
export class ChunkWriter {
  #out: Buffer;
  readonly #chunkBytes: number;
  readonly #blockBytes: BlockBytes;
  #codec: GeneralCodec;
  #level = 1;
  #groups = 0;
  #groupsBytes = 0;

  /** `output` is as long as a chunk may be. */
  constructor(output: Buffer, blockBytes: BlockBytes, codec: GeneralCodec) {
    this.#out = output;
    this.#chunkBytes = output.length;
    this.#blockBytes = blockBytes;
    this.#codec = codec;
  }

  /** Where chunks go from the next one on. */
  set output(buffer: Buffer) {
    if (buffer.length !== this.#chunkBytes) throw new Error('an output buffer of another size');
    if (this.#groups > 0) throw new Error('a chunk is open');
    this.#out = buffer;
  }

  /** How groups are compressed from the next chunk on; `level` is gzip's. */
  choose(codec: GeneralCodec, level: number): void {
    if (this.#groups > 0) throw new Error('a chunk is open');
    this.#codec = codec;
    this.#level = level;
  }

  /** Bytes that are left for heads, bodies, sources and one more group. */
  get room(): number {
    return this.#chunkBytes - chunkHeaderBytes - this.#groupsBytes;
  }

  /** Adds a group of literals; returns the bytes that it takes without its header. */
  addGroup(plain: Uint8Array): number {
    const at = chunkHeaderBytes + this.#groupsBytes;
    const start = at + groupHeaderBytes;
    const packedBytes = compressGroup(this.#codec, plain, this.#out, start, this.#level);
    if (packedBytes === 0) this.#out.set(plain, start);
    this.#out.writeUInt32LE(plain.length, at);
    this.#out.writeUInt32LE(packedBytes, at + 4);
    const bytes = packedBytes === 0 ? plain.length : packedBytes;
    this.#groups += 1;
    this.#groupsBytes += groupHeaderBytes + bytes;
    return bytes;
  }

  /** Ends the chunk; the payload is valid until the next one is begun. */
  close(pages: number, heads: Uint8Array, bodies: Uint8Array, sources: Uint8Array): Uint8Array {
    writeChunkHeader(this.#out, {
      blockBytes: this.#blockBytes,
      generalCodec: this.#codec,
      pages,
      sources: sources.length / 4,
      groups: this.#groups,
      groupsBytes: this.#groupsBytes,
      headsBytes: heads.length,
      bodiesBytes: bodies.length,
    });
    let end = chunkHeaderBytes + this.#groupsBytes;
    for (const part of [heads, bodies, sources]) {
      this.#out.set(part, end);
      end += part.length;
    }
    this.#groups = 0;
    this.#groupsBytes = 0;
    // Not a Buffer, whose slice() would not copy.
    return new Uint8Array(this.#out.buffer, this.#out.byteOffset, end);
  }
}
