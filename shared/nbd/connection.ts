import type { Socket } from 'node:net';
import { systemCode } from '../errors.ts';
import { Handshake, type HandshakeNext } from './handshake.ts';
import type { NbdDisk } from './nbd-disk.ts';
import { command, commandFlag, errorNumbers, payloadBytesMax } from './numbers.ts';
import {
  blockStatusReply,
  simpleReplyBytes,
  structuredError,
  structuredReadBytes,
  writeReadHead,
  writeSimpleReply,
} from './reply.ts';
import { ReplyQueue } from './reply-queue.ts';
import { type NbdRequest, RequestReader } from './request-reader.ts';

/** A client that does not fetch its replies is not listened to beyond these. */
const queuedBytesMax = 16 * 2 ** 20;
const requestsMax = 512;
/** Nor beyond so much data that waits to be written: it is in this process's memory. */
const waitingBytesMax = 16 * 2 ** 20;
/** Runs in one answer about allocation. */
const extentsMax = 1024;

type Served = Extract<HandshakeNext, { kind: 'serve' }>;

/** Serves one client from its first word until it leaves, or says what is not NBD. */
export class NbdConnection {
  readonly #socket: Socket;
  readonly #disks: ReadonlyMap<string, NbdDisk>;
  readonly #handshake: Handshake;
  readonly #reader = new RequestReader();
  readonly #replies: ReplyQueue;
  readonly #admit: (work: () => void) => void;
  #served: Served | undefined;
  #disk: NbdDisk | undefined;
  /** Requests that wait for the disk, and the data of them. */
  #waiting = 0;
  #waitingBytes = 0;
  #leaving = false;

  /** `admit` runs a change of a disk, now or when there is room for it, in order. */
  constructor(
    socket: Socket,
    disks: ReadonlyMap<string, NbdDisk>,
    admit: (work: () => void) => void,
  ) {
    this.#socket = socket;
    this.#disks = disks;
    this.#admit = admit;
    this.#handshake = new Handshake(disks);
    this.#replies = new ReplyQueue(socket, () => this.#pace());
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    // A client that goes away in the middle of a request is no news: what it asked is done or not.
    socket.on('error', () => {});
    socket.on('close', () => this.#replies.close());
    socket.write(this.#handshake.greeting());
  }

  #onData(chunk: Buffer): void {
    if (this.#leaving) return;
    const disk = this.#disk;
    if (disk === undefined) {
      this.#negotiate(chunk);
      return;
    }
    const requests = this.#reader.push(chunk);
    if (requests === undefined) {
      this.#hangUp();
      return;
    }
    for (const request of requests) this.#serve(disk, request);
    this.#replies.flush();
    this.#pace();
  }

  #negotiate(chunk: Buffer): void {
    const { replies, next } = this.#handshake.push(chunk);
    for (const reply of replies) this.#socket.write(reply);
    switch (next.kind) {
      case 'more':
        return;
      case 'hang-up':
        this.#hangUp();
        return;
      case 'serve':
        this.#served = next;
        this.#disk = this.#disks.get(next.name)!;
        if (next.rest.length > 0) this.#onData(next.rest);
    }
  }

  #serve(disk: NbdDisk, request: NbdRequest): void {
    if (request.command === command.disconnect) {
      this.#hangUp();
      return;
    }
    const refused = refusal(disk, request, this.#served!.allocation);
    if (refused !== undefined) {
      this.#fail(request, refused);
      return;
    }
    switch (request.command) {
      case command.read:
        this.#read(disk, request);
        return;
      case command.flush:
        this.#later(request, disk.flush());
        return;
      case command.blockStatus:
        this.#status(disk, request);
        return;
      default:
        this.#change(disk, request);
    }
  }

  #read(disk: NbdDisk, request: NbdRequest): void {
    const { structured } = this.#served!;
    const { offset, length } = request;
    const headBytes = structured ? structuredReadBytes : simpleReplyBytes;
    const writeHead = (into: Buffer, at: number): void => {
      if (structured) writeReadHead(into, at, request);
      else writeSimpleReply(into, at, request, 0);
    };
    const place = this.#replies.reserve(headBytes + length);
    if (place !== undefined) {
      const { buffer, at, address } = place;
      const data = buffer.subarray(at + headBytes, at + headBytes + length);
      try {
        if (disk.readCached(offset, data, address + BigInt(headBytes))) {
          writeHead(buffer, at);
          this.#replies.commit(headBytes + length);
          return;
        }
      } catch (error) {
        this.#fail(request, errorNumber(error));
        return;
      }
    }
    const reply = Buffer.allocUnsafeSlow(headBytes + length);
    writeHead(reply, 0);
    this.#await(request, disk.read(offset, reply.subarray(headBytes)), () =>
      this.#replies.append(reply),
    );
  }

  /** WRITE, WRITE_ZEROES and TRIM: in the order in which they came. */
  #change(disk: NbdDisk, request: NbdRequest): void {
    let inTurn = true;
    const bytes = request.payload?.length ?? 0;
    this.#waiting += 1;
    this.#waitingBytes += bytes;
    this.#admit(() => {
      this.#waiting -= 1;
      this.#waitingBytes -= bytes;
      this.#changeNow(disk, request);
      if (inTurn) return;
      this.#replies.flush();
      this.#pace();
    });
    inTurn = false;
  }

  #changeNow(disk: NbdDisk, request: NbdRequest): void {
    try {
      change(disk, request);
    } catch (error) {
      this.#fail(request, errorNumber(error));
      return;
    }
    if ((request.flags & commandFlag.fua) !== 0) this.#later(request, disk.flush());
    else this.#succeed(request);
  }

  #status(disk: NbdDisk, request: NbdRequest): void {
    const countMax = (request.flags & commandFlag.reqOne) !== 0 ? 1 : extentsMax;
    try {
      const extents = disk.extents(request.offset, request.length, countMax);
      this.#replies.append(blockStatusReply(request, extents));
    } catch (error) {
      this.#fail(request, errorNumber(error));
    }
  }

  #later(request: NbdRequest, work: Promise<void>): void {
    this.#await(request, work, () => {
      this.#succeed(request);
      this.#replies.flush();
    });
  }

  #await(request: NbdRequest, work: Promise<void>, done: () => void): void {
    this.#waiting += 1;
    work
      .then(done, (error: unknown) => {
        this.#fail(request, errorNumber(error));
        this.#replies.flush();
      })
      .finally(() => {
        this.#waiting -= 1;
        this.#pace();
      });
  }

  #succeed(request: NbdRequest): void {
    const { buffer, at } = this.#replies.reserve(simpleReplyBytes)!;
    writeSimpleReply(buffer, at, request, 0);
    this.#replies.commit(simpleReplyBytes);
  }

  #fail(request: NbdRequest, error: number): void {
    const { structured } = this.#served!;
    const isAnswer = request.command === command.read || request.command === command.blockStatus;
    if (structured && isAnswer) {
      this.#replies.append(structuredError(request, error));
      return;
    }
    const { buffer, at } = this.#replies.reserve(simpleReplyBytes)!;
    writeSimpleReply(buffer, at, request, error);
    this.#replies.commit(simpleReplyBytes);
  }

  /** Listens to the client as long as it takes what it asked for. */
  #pace(): void {
    const full =
      this.#replies.queuedBytes > queuedBytesMax ||
      this.#waiting > requestsMax ||
      this.#waitingBytes > waitingBytesMax;
    if (full && !this.#socket.isPaused()) this.#socket.pause();
    else if (!full && this.#socket.isPaused()) this.#socket.resume();
  }

  /** Says what there is to say and closes. */
  #hangUp(): void {
    this.#leaving = true;
    this.#replies.flush();
    this.#socket.end();
  }
}

function change(disk: NbdDisk, request: NbdRequest): void {
  const { offset, length, flags } = request;
  switch (request.command) {
    case command.write:
      if (request.payload !== undefined) disk.write(offset, request.payload);
      return;
    case command.writeZeroes:
      disk.zero(offset, length, (flags & commandFlag.noHole) === 0);
      return;
    case command.trim:
      disk.trim(offset, length);
  }
}

/** The number of the error that a request gets without a look at the disk. */
function refusal(disk: NbdDisk, request: NbdRequest, allocation: boolean): number | undefined {
  const { command: what, offset, length, flags } = request;
  if ((flags & ~allowedFlags(what)) !== 0) return errorNumbers.EINVAL;
  const isChange = changing.has(what);
  if (isChange && !disk.writable) return errorNumbers.EPERM;
  switch (what) {
    case command.flush:
      return undefined;
    case command.read:
    case command.write:
      if (length > payloadBytesMax) return errorNumbers.EOVERFLOW;
      break;
    case command.trim:
    case command.writeZeroes:
      break;
    case command.blockStatus:
      if (!allocation || length === 0) return errorNumbers.EINVAL;
      break;
    default:
      return errorNumbers.EINVAL;
  }
  if (offset + length <= disk.sizeBytes) return undefined;
  return isChange ? errorNumbers.ENOSPC : errorNumbers.EINVAL;
}

const changing = new Set<number>([command.write, command.writeZeroes, command.trim]);

/** FUA means nothing to a READ, but clients may set it. */
function allowedFlags(what: number): number {
  switch (what) {
    case command.read:
      return commandFlag.fua | commandFlag.dontFragment;
    case command.writeZeroes:
      return commandFlag.fua | commandFlag.noHole;
    case command.blockStatus:
      return commandFlag.fua | commandFlag.reqOne;
    default:
      return commandFlag.fua;
  }
}

function errorNumber(error: unknown): number {
  const code = systemCode(error);
  // Without a system's code it is a mistake of ours, and must not look like a bad disk.
  if (code === undefined) throw error;
  return errorNumbers[code] ?? errorNumbers.EIO!;
}
