import { bounds } from '../bounds.ts';

/** The parts of the client that are used here, of the release that package.json pins. */
interface Protocol {
  readonly parser: Parser;
  readonly outbound: Pending;
}

interface Parser {
  parse(chunk: Uint8Array): void;
  /** Of a message that is not whole yet: what has come of it. */
  msgBuf?: Growing | undefined;
  readonly ma: { readonly size: number };
}

/** As Go's bytes.Buffer. */
interface Growing {
  readonly capacity: number;
  truncate(bytes: number): void;
  write(part: Uint8Array): void;
  bytes(options: { readonly copy: false }): Uint8Array;
}

/** What is to be written to the socket. */
interface Pending {
  buffers: Uint8Array[];
  readonly byteLength: number;
  pack(): void;
}

const prepared = new WeakSet<object>();

/**
 * Spares the client work on memory, which is most of what large messages cost it: room for one is
 * taken when its first part has come, where the client doubles a buffer with each part (2.7 MiB
 * copied and 3.5 MiB of zeros written for each MiB received); and no room is filled with zeros
 * before it is written over, in either direction. For all connections of the process, also of
 * `connection` after a reconnect. A client that is built in another way goes on as it does.
 */
export function spareMemory(connection: object): void {
  const { protocol } = connection as { protocol?: Partial<Protocol> };
  if (protocol?.parser !== undefined) takeRoomAtOnce(Object.getPrototypeOf(protocol.parser));
  if (protocol?.outbound !== undefined) packPlainly(Object.getPrototypeOf(protocol.outbound));
}

function takeRoomAtOnce(its: Parser): void {
  const { parse } = its;
  if (prepared.has(its) || typeof parse !== 'function') return;
  prepared.add(its);
  its.parse = function (this: Parser, chunk: Uint8Array): void {
    parse.call(this, chunk);
    const { msgBuf } = this;
    if (msgBuf === undefined) return;
    const { size } = this.ma;
    if (msgBuf.capacity < size && size <= bounds.payloadBytesMax) this.msgBuf = moved(msgBuf, size);
  };
}

/** The same with room for `size` bytes. */
function moved(part: Growing, size: number): Growing {
  const Room = part.constructor as new (room: ArrayBufferLike) => Growing;
  const room = new Room(Buffer.allocUnsafeSlow(size).buffer);
  room.truncate(0);
  room.write(part.bytes({ copy: false }));
  return room;
}

function packPlainly(its: Pending): void {
  if (prepared.has(its) || typeof its.pack !== 'function') return;
  prepared.add(its);
  its.pack = function (this: Pending): void {
    if (this.buffers.length > 1) this.buffers = [whole(this.buffers, this.byteLength)];
  };
}

function whole(parts: readonly Uint8Array[], bytes: number): Uint8Array {
  const all = Buffer.allocUnsafeSlow(bytes);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.byteLength;
  }
  return all;
}
