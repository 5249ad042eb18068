import { bounds } from '../bounds.ts';

/** The parts of the client's parser that are used here, of the release that package.json pins. */
interface Parser {
  parse(chunk: Uint8Array): void;
  /** Of a message that is not whole yet: what has come of it. */
  readonly msgBuf?: Growing | undefined;
  readonly ma: { readonly size: number };
}

/** As Go's bytes.Buffer. */
interface Growing {
  readonly length: number;
  readonly capacity: number;
  grow(bytes: number): void;
}

const prepared = new WeakSet<object>();

/**
 * Makes the client take room for a message at once when its first part has come. By itself it
 * doubles a buffer with each part: 2.7 MiB are copied and 3.5 MiB of new memory filled for each MiB
 * that is received. For all connections of the process, also of `connection` after a reconnect. A
 * client that is built in another way goes on as it does.
 */
export function takeRoomAtOnce(connection: object): void {
  const { parser } = (connection as { protocol?: { parser?: object } }).protocol ?? {};
  if (parser === undefined || !('ma' in parser)) return;
  const its = Object.getPrototypeOf(parser) as Parser;
  const { parse } = its;
  if (prepared.has(its) || typeof parse !== 'function') return;
  its.parse = function (this: Parser, chunk: Uint8Array): void {
    parse.call(this, chunk);
    const { msgBuf, ma } = this;
    if (msgBuf === undefined || msgBuf.capacity >= ma.size) return;
    if (ma.size <= bounds.payloadBytesMax) msgBuf.grow(ma.size - msgBuf.length);
  };
  prepared.add(its);
}
