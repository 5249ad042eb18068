import {
  exportFlag,
  handshakeFlag,
  info,
  magic,
  option,
  optionBytesMax,
  optionReply,
  payloadBytesMax,
  preferredBlockBytes,
} from './numbers.ts';

/**
 * The server's side of NBD's fixed newstyle handshake, without I/O.
 *
 *   server  u64 "NBDMAGIC" · u64 "IHAVEOPT" · u16 flags
 *   client  u32 flags
 *   client  u64 "IHAVEOPT" · u32 option · u32 length · data          (repeated)
 *   server  u64 reply magic · u32 option · u32 type · u32 length · data
 */
export class Handshake {
  readonly #exports: ReadonlyMap<string, ExportInfo>;
  #bytes: Buffer = Buffer.alloc(0);
  #flagsSeen = false;
  #zeroes = true;
  #structured = false;
  #contextOf: string | undefined;

  constructor(exports: ReadonlyMap<string, ExportInfo>) {
    this.#exports = exports;
  }

  /** What the server says first. */
  greeting(): Buffer {
    const bytes = Buffer.alloc(18);
    bytes.writeBigUInt64BE(magic.greeting, 0);
    bytes.writeBigUInt64BE(magic.option, 8);
    bytes.writeUInt16BE(handshakeFlag.fixedNewstyle | handshakeFlag.noZeroes, 16);
    return bytes;
  }

  /** Takes bytes of the client. What it returns is to be sent, and then acted upon. */
  push(bytes: Uint8Array): HandshakeStep {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    const replies: Buffer[] = [];
    if (!this.#flagsSeen) {
      if (this.#bytes.length < 4) return { replies, next: { kind: 'more' } };
      const flags = this.#bytes.readUInt32BE(0);
      const known = handshakeFlag.fixedNewstyle | handshakeFlag.noZeroes;
      if ((flags & ~known) !== 0 || (flags & handshakeFlag.fixedNewstyle) === 0) {
        return { replies, next: { kind: 'hang-up' } };
      }
      this.#flagsSeen = true;
      this.#zeroes = (flags & handshakeFlag.noZeroes) === 0;
      this.#bytes = this.#bytes.subarray(4);
    }
    while (this.#bytes.length >= 16) {
      const length = this.#bytes.readUInt32BE(12);
      const wrong = this.#bytes.readBigUInt64BE(0) !== magic.option || length > optionBytesMax;
      if (wrong) return { replies, next: { kind: 'hang-up' } };
      if (this.#bytes.length < 16 + length) break;
      const code = this.#bytes.readUInt32BE(8);
      const data = this.#bytes.subarray(16, 16 + length);
      this.#bytes = this.#bytes.subarray(16 + length);
      const next = this.#answer(code, data, replies);
      if (next !== undefined) return { replies, next };
    }
    return { replies, next: { kind: 'more' } };
  }

  #answer(code: number, data: Buffer, replies: Buffer[]): HandshakeNext | undefined {
    const reply = (type: number, body: Buffer = nothing) =>
      replies.push(encodeReply(code, type, body));
    switch (code) {
      case option.exportName: {
        const name = data.toString('utf8');
        const found = this.#exports.get(name);
        // This option has no way to say no.
        if (found === undefined) return { kind: 'hang-up' };
        const padding = this.#zeroes ? Buffer.alloc(124) : nothing;
        replies.push(Buffer.concat([sizeAndFlags(found), padding]));
        return this.#serve(name);
      }
      case option.abort:
        reply(optionReply.ack);
        return { kind: 'hang-up' };
      case option.list:
        if (data.length > 0) reply(optionReply.errInvalid);
        else {
          for (const name of this.#exports.keys()) reply(optionReply.server, text(name));
          reply(optionReply.ack);
        }
        return undefined;
      case option.info:
      case option.go: {
        const name = requestedName(data);
        const found = name === undefined ? undefined : this.#exports.get(name);
        if (name === undefined) reply(optionReply.errInvalid);
        else if (found === undefined) reply(optionReply.errUnknown);
        else {
          reply(optionReply.info, Buffer.concat([u16(info.export), sizeAndFlags(found)]));
          reply(optionReply.info, Buffer.concat([u16(info.name), Buffer.from(name)]));
          reply(optionReply.info, blockSizes());
          reply(optionReply.ack);
          if (code === option.go) return this.#serve(name);
        }
        return undefined;
      }
      case option.structuredReply:
        if (data.length > 0) reply(optionReply.errInvalid);
        else {
          this.#structured = true;
          reply(optionReply.ack);
        }
        return undefined;
      case option.listMetaContext:
      case option.setMetaContext:
        this.#metaContext(code, data, reply);
        return undefined;
      default:
        reply(optionReply.errUnsupported);
        return undefined;
    }
  }

  #metaContext(code: number, data: Buffer, reply: (type: number, body?: Buffer) => void): void {
    const asked = contextQueries(data);
    const setting = code === option.setMetaContext;
    if (setting) this.#contextOf = undefined;
    if (asked === undefined || !this.#structured) {
      reply(optionReply.errInvalid);
      return;
    }
    if (!this.#exports.has(asked.name)) {
      reply(optionReply.errUnknown);
      return;
    }
    const wanted =
      asked.queries.includes(allocationContext) ||
      (!setting && (asked.queries.length === 0 || asked.queries.includes('base:')));
    if (wanted) {
      const id = Buffer.alloc(4);
      id.writeUInt32BE(setting ? allocationContextId : 0);
      reply(optionReply.metaContext, Buffer.concat([id, Buffer.from(allocationContext)]));
      if (setting) this.#contextOf = asked.name;
    }
    reply(optionReply.ack);
  }

  #serve(name: string): HandshakeNext {
    return {
      kind: 'serve',
      name,
      structured: this.#structured,
      allocation: this.#contextOf === name,
      rest: this.#bytes,
    };
  }
}

export interface ExportInfo {
  readonly sizeBytes: number;
  readonly writable: boolean;
}

export interface HandshakeStep {
  readonly replies: readonly Buffer[];
  readonly next: HandshakeNext;
}

export type HandshakeNext =
  | { readonly kind: 'more' }
  | { readonly kind: 'hang-up' }
  | {
      readonly kind: 'serve';
      readonly name: string;
      readonly structured: boolean;
      /** BLOCK_STATUS may be asked for base:allocation. */
      readonly allocation: boolean;
      /** What the client said after its last option: the first requests. */
      readonly rest: Buffer;
    };

export const allocationContextId = 1;
const allocationContext = 'base:allocation';
const nothing = Buffer.alloc(0);

function encodeReply(code: number, type: number, body: Buffer): Buffer {
  const head = Buffer.alloc(20);
  head.writeBigUInt64BE(magic.optionReply, 0);
  head.writeUInt32BE(code, 8);
  head.writeUInt32BE(type, 12);
  head.writeUInt32BE(body.length, 16);
  return Buffer.concat([head, body]);
}

function sizeAndFlags({ sizeBytes, writable }: ExportInfo): Buffer {
  const bytes = Buffer.alloc(10);
  const { hasFlags, readOnly, sendFlush, sendFua, sendTrim, sendWriteZeroes, canMultiConn } =
    exportFlag;
  const ability = writable ? sendFua | sendTrim | sendWriteZeroes : readOnly;
  bytes.writeBigUInt64BE(BigInt(sizeBytes), 0);
  bytes.writeUInt16BE(hasFlags | sendFlush | canMultiConn | ability, 8);
  return bytes;
}

function blockSizes(): Buffer {
  const bytes = Buffer.alloc(14);
  bytes.writeUInt16BE(info.blockSize, 0);
  bytes.writeUInt32BE(1, 2);
  bytes.writeUInt32BE(preferredBlockBytes, 6);
  bytes.writeUInt32BE(payloadBytesMax, 10);
  return bytes;
}

/** INFO and GO: u32 name length · name · u16 count · count × u16 kinds of information. */
function requestedName(data: Buffer): string | undefined {
  if (data.length < 6) return undefined;
  const length = data.readUInt32BE(0);
  if (data.length < 6 + length) return undefined;
  const count = data.readUInt16BE(4 + length);
  if (data.length !== 6 + length + 2 * count) return undefined;
  return data.toString('utf8', 4, 4 + length);
}

/** u32 name length · name · u32 count · count × (u32 length · query). */
function contextQueries(data: Buffer): { name: string; queries: string[] } | undefined {
  const texts: string[] = [];
  let at = 0;
  let left = 1;
  while (left > 0) {
    if (data.length < at + 4) return undefined;
    const length = data.readUInt32BE(at);
    if (data.length < at + 4 + length) return undefined;
    texts.push(data.toString('utf8', at + 4, at + 4 + length));
    at += 4 + length;
    left -= 1;
    if (texts.length === 1) {
      if (data.length < at + 4) return undefined;
      left = data.readUInt32BE(at);
      at += 4;
    }
  }
  return at === data.length ? { name: texts[0]!, queries: texts.slice(1) } : undefined;
}

function text(name: string): Buffer {
  const bytes = Buffer.from(name);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}
