import type { Socket } from 'node:net';
import { type Mapping, mapAnonymous } from '../native/libc.ts';

/** A place in memory with a known address, into which a reply is written. */
export interface ReplyPlace {
  readonly buffer: Buffer;
  readonly at: number;
  readonly address: bigint;
}

interface Arena {
  readonly mapping: Mapping;
  readonly buffer: Buffer;
  /** Writes of it that the system has not taken yet. */
  pending: number;
  retired: boolean;
}

/** Largest reply that is put together in an arena. */
const arenaBytes = 4 * 2 ** 20;
const arenasKept = 8;
/** Shared by all connections of this thread; memory of closed ones is used again. */
const free: Arena[] = [];

/**
 * Replies on their way to a client. Those of one turn lie side by side and leave with one write,
 * from memory that is used again when the system has taken it.
 */
export class ReplyQueue {
  readonly #socket: Socket;
  readonly #onRoom: () => void;
  #arena: Arena | undefined;
  /** The arena's bytes from `#sent` to `#filled` are still to be written. */
  #sent = 0;
  #filled = 0;
  #queuedBytes = 0;

  /** `onRoom` is called whenever the system took something. */
  constructor(socket: Socket, onRoom: () => void) {
    this.#socket = socket;
    this.#onRoom = onRoom;
  }

  /** Bytes that the client has not fetched. */
  get queuedBytes(): number {
    return this.#queuedBytes + this.#filled - this.#sent;
  }

  /** Room for a reply of `bytes`; undefined where it is too large. Valid until the next call. */
  reserve(bytes: number): ReplyPlace | undefined {
    if (bytes > arenaBytes) return undefined;
    if (this.#arena === undefined || this.#filled + bytes > arenaBytes) this.#nextArena();
    const { buffer, mapping } = this.#arena!;
    return { buffer, at: this.#filled, address: mapping.address + BigInt(this.#filled) };
  }

  /** What was reserved last is written: these many bytes of it go out. */
  commit(bytes: number): void {
    this.#filled += bytes;
  }

  /** A reply in memory of its own, which nobody writes any more. */
  append(buffer: Buffer): void {
    this.flush();
    this.#queuedBytes += buffer.length;
    this.#socket.write(buffer, () => {
      this.#queuedBytes -= buffer.length;
      this.#onRoom();
    });
  }

  /** Hands everything to the system. */
  flush(): void {
    const arena = this.#arena;
    const bytes = this.#filled - this.#sent;
    if (arena === undefined || bytes === 0) return;
    const part = arena.buffer.subarray(this.#sent, this.#filled);
    this.#sent = this.#filled;
    this.#queuedBytes += bytes;
    arena.pending += 1;
    this.#socket.write(part, () => {
      arena.pending -= 1;
      this.#queuedBytes -= bytes;
      if (arena.pending === 0) this.#reuse(arena);
      this.#onRoom();
    });
  }

  /** The connection is closed: no reply goes out any more. */
  close(): void {
    if (this.#arena !== undefined) this.#retire(this.#arena);
    this.#arena = undefined;
    this.#sent = 0;
    this.#filled = 0;
  }

  #reuse(arena: Arena): void {
    if (arena.retired) recycle(arena);
    else if (this.#sent === this.#filled) {
      // Everything went out: the next replies start at its beginning, which the cache knows.
      this.#sent = 0;
      this.#filled = 0;
    }
  }

  #nextArena(): void {
    this.flush();
    if (this.#arena !== undefined) this.#retire(this.#arena);
    this.#arena = free.pop() ?? makeArena();
    this.#arena.retired = false;
    this.#sent = 0;
    this.#filled = 0;
  }

  #retire(arena: Arena): void {
    arena.retired = true;
    if (arena.pending === 0) recycle(arena);
  }
}

function makeArena(): Arena {
  const mapping = mapAnonymous(arenaBytes);
  const { buffer, byteOffset, byteLength } = mapping.bytes;
  return {
    mapping,
    buffer: Buffer.from(buffer, byteOffset, byteLength),
    pending: 0,
    retired: false,
  };
}

function recycle(arena: Arena): void {
  if (free.length < arenasKept) free.push(arena);
  else arena.mapping.unmap();
}
