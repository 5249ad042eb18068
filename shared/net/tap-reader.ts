import { closeSync, writeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { createWaker } from '../native/libc.ts';
import { networkBounds } from './network-bounds.ts';

/** What the reading thread is given. Both descriptors belong to the main thread. */
export interface TapReaderTask {
  readonly fd: number;
  readonly waker: number;
  readonly control: SharedArrayBuffer;
}

/** Cells of the `control` memory, i32 each. */
export const tapControl = { stop: 0, backlogBytes: 1, cells: 2 } as const;

export type FromTapReader =
  | { readonly kind: 'started' }
  /** Frames one after another, each behind a u32 length in this machine's order. */
  | { readonly kind: 'frames'; readonly batch: Uint8Array }
  /** The interface can't be read any more: the system's code. */
  | { readonly kind: 'gone'; readonly code: string };

export interface TapReaderListener {
  onFrame(frame: Uint8Array): void;
  onGone(code: string): void;
}

/**
 * Reads a TAP in a thread of its own. Node has no way to wait for such a descriptor: `fs.read`
 * would keep one of the four threads of its pool for good and could not be ended, and `net.Socket`
 * refuses it. The thread waits in poll(2), and hands over what it finds a batch at a time.
 */
export class TapReader {
  readonly #worker: Worker;
  readonly #waker: number;
  readonly #control = new Int32Array(new SharedArrayBuffer(4 * tapControl.cells));
  readonly #listener: TapReaderListener;
  readonly #ended: Promise<void>;
  #stopping = false;

  /** Resolves when the TAP is being read. */
  static async start(fd: number, listener: TapReaderListener): Promise<TapReader> {
    const reader = new TapReader(fd, listener);
    try {
      await reader.#started();
    } catch (error) {
      await reader.stop();
      throw error;
    }
    return reader;
  }

  private constructor(fd: number, listener: TapReaderListener) {
    this.#listener = listener;
    this.#waker = createWaker();
    const control = this.#control.buffer;
    const workerData: TapReaderTask = { fd, waker: this.#waker, control };
    this.#worker = new Worker(new URL('./tap-reader-worker.js', import.meta.url), { workerData });
    this.#ended = new Promise((resolve) => this.#worker.once('exit', () => resolve()));
    this.#worker.on('message', (message: FromTapReader) => this.#onMessage(message));
  }

  /** Nothing is called any more once it resolves, and the descriptor can be closed. */
  async stop(): Promise<void> {
    if (this.#stopping) return this.#ended;
    this.#stopping = true;
    Atomics.store(this.#control, tapControl.stop, 1);
    Atomics.notify(this.#control, tapControl.backlogBytes);
    writeSync(this.#waker, oneEvent);
    await this.#ended;
    closeSync(this.#waker);
  }

  async #started(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error('the TAP reader did not start')),
        networkBounds.uplinkStartMs,
      );
      const settle = (then: () => void) => () => {
        clearTimeout(timer);
        then();
      };
      this.#worker.once('message', settle(resolve));
      this.#worker.once('error', (error) => settle(() => reject(error))());
    });
    // A fault of the thread from now on is a broken invariant: it ends the process.
    this.#worker.on('error', (error) => {
      throw error;
    });
  }

  #onMessage(message: FromTapReader): void {
    if (message.kind === 'frames') {
      const { batch } = message;
      if (!this.#stopping) this.#hand(batch);
      Atomics.sub(this.#control, tapControl.backlogBytes, batch.length);
      Atomics.notify(this.#control, tapControl.backlogBytes);
    } else if (message.kind === 'gone' && !this.#stopping) {
      this.#listener.onGone(message.code);
    }
  }

  #hand(batch: Uint8Array): void {
    const view = new DataView(batch.buffer, batch.byteOffset, batch.length);
    for (let at = 0; at < batch.length; ) {
      const length = view.getUint32(at, true);
      this.#listener.onFrame(batch.subarray(at + 4, at + 4 + length));
      // A listener may stop the reader.
      if (this.#stopping) return;
      at += 4 + length;
    }
  }
}

const oneEvent = Buffer.alloc(8);
oneEvent.writeBigUInt64LE(1n);
