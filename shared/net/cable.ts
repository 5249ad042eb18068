import { chmodSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { isUnderstudyError, systemCode, UnderstudyError } from '../errors.ts';
import { FrameSplitter, joinFrame } from './ethernet-stream.ts';
import { networkBounds } from './network-bounds.ts';

export interface CableOptions {
  /** The socket on which the guest's QEMU listens: see `cablePath` in shared/qemu. */
  readonly path: string;
  /** A frame that the guest sent: a view, to be copied by who keeps it. */
  readonly onFrame: (frame: Uint8Array) => void;
  readonly onConnected?: () => void;
  /** The cable is out, and tried again. `error` where the stream was corrupt. */
  readonly onDisconnected?: (error: UnderstudyError | undefined) => void;
}

export interface CableCounts {
  /** Frames from the guest, and those among them that were no Ethernet frames. */
  readonly sent: number;
  readonly sentRunts: number;
  /** Frames to the guest, and those dropped: no cable, or QEMU does not take them. */
  readonly received: number;
  readonly receivedDropped: number;
}

/**
 * The agent's end of one card of the guest. QEMU listens (`-netdev stream,server=on`) and the
 * agent connects, and again whenever the connection is lost, until it is closed.
 *
 * Why this way round, as tried with QEMU 7.2: the client side of `stream` connects once, when
 * QEMU starts, and never again (`reconnect` came with 8.0). It is out for good when the agent
 * dies, and when the agent did not listen yet. The server side starts without anybody connected,
 * takes one agent after the other, and a guest that sends meanwhile sends into nothing: what it
 * sends while no agent holds it must not get out anyway.
 *
 * QEMU's socket blocks. An agent that does not read stops QEMU as a whole once some 200 KiB wait:
 * the guest, and its monitor, which answers no command. Nothing is lost or cut by that (tried),
 * but who wants QEMU to answer has to read. While the guest is stopped nothing is sent, and all
 * that was sent is in the socket, in whole frames.
 */
export class Cable {
  readonly #options: CableOptions;
  readonly #counts = { sent: 0, sentRunts: 0, received: 0, receivedDropped: 0 };
  #socket: Socket | undefined;
  #connected = false;
  #reading = true;
  #closed = false;
  #retry: NodeJS.Timeout | undefined;
  readonly #waiters = new Set<() => void>();

  constructor(options: CableOptions) {
    this.#options = options;
    this.#connect();
  }

  get connected(): boolean {
    return this.#connected;
  }

  get counts(): CableCounts {
    return { ...this.#counts };
  }

  /** Input that was taken by `send` and not by the system yet. */
  get waitingBytes(): number {
    return this.#socket?.writableLength ?? 0;
  }

  /** Resolves when the cable is connected. Throws `E_CABLE_UNREACHABLE`. */
  async ready(timeoutMs: number = networkBounds.cableConnectMs): Promise<void> {
    if (this.#connected) return;
    let timer: NodeJS.Timeout | undefined;
    let waiter = () => {};
    const connected = new Promise<boolean>((resolve) => {
      waiter = () => resolve(this.#connected);
      this.#waiters.add(waiter);
      timer = setTimeout(() => resolve(false), timeoutMs);
    });
    const isConnected = await connected;
    clearTimeout(timer);
    this.#waiters.delete(waiter);
    if (!isConnected) throw unreachable(this.#options.path, timeoutMs);
  }

  /**
   * A frame for the guest. False where it was dropped, as a network may: there is no cable, QEMU
   * does not take what is waiting, or the frame is longer than QEMU takes.
   */
  send(frame: Uint8Array): boolean {
    const socket = this.#socket;
    const { frameBytesMin, frameBytesMax, cableInputBytesMax } = networkBounds;
    const fits = frame.length >= frameBytesMin && frame.length <= frameBytesMax;
    if (
      !this.#connected ||
      socket === undefined ||
      !fits ||
      socket.writableLength + frame.length > cableInputBytesMax
    ) {
      this.#counts.receivedDropped++;
      return false;
    }
    socket.write(joinFrame(frame));
    this.#counts.received++;
    return true;
  }

  /** From now on nothing is read, at the price told above. What was read still comes. */
  stopReading(): void {
    this.#reading = false;
    this.#socket?.pause();
  }

  startReading(): void {
    this.#reading = true;
    this.#socket?.resume();
  }

  /** Pulls the cable. Nothing is called any more. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    for (const wake of this.#waiters) wake();
    const socket = this.#socket;
    if (socket === undefined) return;
    await new Promise<void>((resolve) => {
      socket.once('close', () => resolve());
      socket.destroy();
    });
  }

  #connect(): void {
    const { path, onConnected } = this.#options;
    const socket = connect(path);
    this.#socket = socket;
    const splitter = new FrameSplitter((frame) => this.#onFrame(frame));
    let fault: UnderstudyError | undefined;
    socket.once('connect', () => {
      if (this.#closed) return;
      restrict(path);
      this.#connected = true;
      for (const wake of this.#waiters) wake();
      onConnected?.();
    });
    socket.on('data', (piece) => {
      if (this.#closed || fault !== undefined) return;
      try {
        splitter.push(piece);
      } catch (error) {
        if (!isUnderstudyError(error)) throw error;
        fault = error;
        socket.destroy();
      }
    });
    // The reason is in what follows: the cable is tried again, and `ready` has a deadline.
    socket.on('error', () => {});
    socket.once('close', () => this.#onClose(socket, fault));
    if (!this.#reading) socket.pause();
  }

  #onFrame(frame: Uint8Array): void {
    if (this.#closed) return;
    if (frame.length < networkBounds.frameBytesMin) {
      this.#counts.sentRunts++;
      return;
    }
    this.#counts.sent++;
    this.#options.onFrame(frame);
  }

  #onClose(socket: Socket, fault: UnderstudyError | undefined): void {
    if (this.#socket === socket) this.#socket = undefined;
    const wasConnected = this.#connected;
    this.#connected = false;
    if (this.#closed) return;
    if (wasConnected) this.#options.onDisconnected?.(fault);
    // A listener may have closed the cable.
    if (this.#closed) return;
    this.#retry = setTimeout(() => this.#connect(), networkBounds.cableRetryMs);
  }
}

/** The folder keeps others out already; this is for one that an operator made himself. */
function restrict(path: string): void {
  try {
    chmodSync(path, 0o600);
  } catch (error) {
    // QEMU ended and took its socket along: the connection says so next.
    if (systemCode(error) !== 'ENOENT') throw error;
  }
}

function unreachable(path: string, timeoutMs: number): UnderstudyError {
  const message = `the guest's cable can't be connected: ${path}`;
  return new UnderstudyError('E_CABLE_UNREACHABLE', message, {
    hint: 'See whether QEMU runs, and was started with this cable; another agent may hold it.',
    fields: { path, timeoutMs },
  });
}
