import { bounds, frameBytesMax } from '../bounds.ts';
import { type AlarmClock, type CallOff, monotonicClock } from '../clock.ts';
import { UnderstudyError } from '../errors.ts';
import type { Epoch, Term } from '../ids.ts';
import type { Credit } from '../wire/flow-body.ts';
import {
  byteLengthOf,
  checkOrigin,
  decodeFrame,
  frameHeaderBytes,
  writeFrame,
} from '../wire/frame.ts';
import type { StreamKind } from '../wire/frame-kind.ts';
import { decodeMessage, encodeMessage } from '../wire/message.ts';
import { FrameRing } from './frame-ring.ts';
import { defaultSendLimits, type SendEffect, type SendLimits, SendWindow } from './send-window.ts';
import type { Subscription, Transport } from './transport.ts';

export interface StreamSenderOptions {
  readonly transport: Transport;
  readonly dataSubject: string;
  readonly creditSubject: string;
  /** From `guestHash` and `sessionBits`. */
  readonly guest: bigint;
  readonly session: bigint;
  readonly term: Term;
  /** `E_STREAM_BROKEN`: nothing more goes out. Called once, never inside a call of ours. */
  readonly onBroken: (error: UnderstudyError) => void;
  /** `E_STREAM_STALLED`, and again without an error when the receiver moves on. */
  readonly onStalled?: (error: UnderstudyError | undefined) => void;
  readonly clock?: AlarmClock;
  readonly limits?: SendLimits;
}

/**
 * Sends the frames of one session in order, each at least until the receiver has it, over a bus
 * that may lose them. A frame is copied once, into a ring that is allocated once, and goes out
 * from there. `send` waits while the window is full: so a slow backup slows the primary.
 */
export class StreamSender {
  readonly #options: StreamSenderOptions;
  readonly #clock: AlarmClock;
  readonly #window: SendWindow;
  readonly #ring: FrameRing;
  readonly #limits: SendLimits;
  readonly #waiting: Waiting[] = [];
  readonly #consumed: Settled[] = [];
  readonly #credits: Credit[] = [];
  readonly #subscription: Subscription;
  readonly #forgetStatus: () => void;
  #term: Term;
  #stopTicking: CallOff | undefined;
  #over: UnderstudyError | undefined;
  #turnAsked = false;
  /** Handed to the bus and not yet known to have left this process. */
  #unflushedBytes = 0;
  #sinceFlushBytes = 0;
  #connection = 0;
  #sentBytes = 0;
  #repairs = 0;

  constructor(options: StreamSenderOptions) {
    this.#options = options;
    this.#term = options.term;
    this.#clock = options.clock ?? monotonicClock;
    this.#limits = options.limits ?? defaultSendLimits;
    const { transport } = options;
    this.#window = new SendWindow(transport.connected, this.#limits);
    const ringBytes = this.#limits.windowBytes + 2 * frameBytesMax;
    this.#ring = new FrameRing(ringBytes, this.#limits.windowFrames);
    this.#subscription = transport.subscribe(options.creditSubject, (bytes) => this.#hear(bytes));
    this.#forgetStatus = transport.onStatus((connected) => this.#onStatus(connected));
  }

  /** The term that frames carry from now on. */
  set term(term: Term) {
    this.#term = term;
  }

  /** Bytes handed to the bus, repairs included, and how many repairs there were. */
  get stats(): {
    readonly sentBytes: number;
    readonly repairs: number;
    readonly heldBytes: number;
  } {
    const heldBytes = this.#window.heldBytes;
    return { sentBytes: this.#sentBytes, repairs: this.#repairs, heldBytes };
  }

  /**
   * Resolves with the frame's size in bytes when the frame is in the window; `parts` may be
   * reused then. Throws `E_FRAME_TOO_LARGE`, `E_STREAM_BROKEN`, `E_STREAM_CLOSED`.
   */
  async send(kind: StreamKind, epoch: Epoch, parts: readonly Uint8Array[]): Promise<number> {
    if (this.#over !== undefined) throw this.#over;
    const bytes = frameHeaderBytes + byteLengthOf(parts);
    const room = Math.min(frameBytesMax, this.#options.transport.payloadBytesMax);
    if (bytes > room) throw tooLarge(kind, bytes, room);
    if (this.#waiting.length > 0 || !this.#window.hasRoom(bytes)) {
      if (this.#waiting.length >= bounds.sendWaitersMax) {
        throw new Error('frames are sent without waiting for room');
      }
      await new Promise<void>((resolve, reject) => {
        this.#waiting.push({
          bytes,
          admit: () => this.#accept(kind, epoch, parts, bytes, resolve),
          reject,
        });
      });
    } else {
      this.#accept(kind, epoch, parts, bytes, () => {});
    }
    return bytes;
  }

  /** Resolves when the receiver has consumed everything that was sent by now. */
  async consumed(): Promise<void> {
    if (this.#over !== undefined) throw this.#over;
    if (this.#window.heldFrames === 0 && this.#waiting.length === 0) return;
    const until = this.#window.nextSequence + this.#waiting.length;
    await new Promise<void>((resolve, reject) => this.#consumed.push({ until, resolve, reject }));
  }

  /** Gives the stream up: whoever waits is told so by `E_STREAM_CLOSED`. */
  close(): void {
    this.#end(
      new UnderstudyError('E_STREAM_CLOSED', 'the data stream was closed', {
        hint: 'A session ended while it was sending; the next one starts anew.',
      }),
    );
  }

  #accept(
    kind: StreamKind,
    epoch: Epoch,
    parts: readonly Uint8Array[],
    bytes: number,
    accepted: () => void,
  ): void {
    const { guest, session } = this.#options;
    const place = this.#ring.push(bytes);
    if (place === undefined) throw new Error('the ring is smaller than the window');
    const sequence = this.#window.nextSequence;
    writeFrame(place, 0, { kind, guest, session, term: this.#term, epoch, sequence }, parts);
    this.#window.step({ kind: 'accepted', bytes, nowMs: this.#clock.nowMs() });
    accepted();
    this.#transmit();
    this.#stopTicking ??= this.#clock.every(bounds.streamTickMs, () => this.#tick());
  }

  /** Hands over what is due, never more at once than the window is large. */
  #transmit(): void {
    const { transport, dataSubject } = this.#options;
    while (this.#unflushedBytes <= this.#limits.windowBytes) {
      const index = this.#window.toTransmit;
      if (index === undefined) return;
      const frame = this.#ring.at(index);
      if (!transport.publish(dataSubject, frame)) return;
      this.#window.step({ kind: 'transmitted' });
      this.#sentBytes += frame.byteLength;
      this.#unflushedBytes += frame.byteLength;
      this.#sinceFlushBytes += frame.byteLength;
      if (this.#sinceFlushBytes >= this.#limits.windowBytes / 4) this.#flush();
    }
  }

  #flush(): void {
    const connection = this.#connection;
    const bytes = this.#sinceFlushBytes;
    this.#sinceFlushBytes = 0;
    const flushed = () => {
      if (connection !== this.#connection || this.#over !== undefined) return;
      this.#unflushedBytes -= bytes;
      this.#transmit();
    };
    // A flush that fails is a disconnect, which is told by the status.
    this.#options.transport.flush().then(flushed, () => {});
  }

  /** Inside the bus's callback: only looks and queues. */
  #hear(bytes: Uint8Array): void {
    try {
      const frame = decodeFrame(bytes);
      checkOrigin(frame, this.#options.guest, this.#options.session);
      const message = decodeMessage(frame);
      if (message.kind === 'credit') this.#credits.push(message);
    } catch (error) {
      // A report that is lost or damaged is replaced by the next one, or asked for.
      if (!(error instanceof UnderstudyError)) throw error;
      return;
    }
    if (this.#credits.length > this.#limits.windowFrames) this.#credits.shift();
    this.#askTurn();
  }

  #askTurn(): void {
    if (this.#turnAsked) return;
    this.#turnAsked = true;
    this.#clock.soon(() => {
      this.#turnAsked = false;
      if (this.#over !== undefined) return;
      const nowMs = this.#clock.nowMs();
      for (const credit of this.#credits.splice(0)) {
        this.#apply(this.#window.step({ kind: 'credit', credit, nowMs }));
      }
      this.#goOn();
    });
  }

  #onStatus(connected: boolean): void {
    if (this.#over !== undefined) return;
    this.#connection += 1;
    this.#unflushedBytes = 0;
    this.#sinceFlushBytes = 0;
    const nowMs = this.#clock.nowMs();
    this.#apply(
      this.#window.step(connected ? { kind: 'connected', nowMs } : { kind: 'disconnected' }),
    );
    this.#goOn();
  }

  #tick(): void {
    if (this.#over !== undefined) return;
    this.#apply(this.#window.step({ kind: 'tick', nowMs: this.#clock.nowMs() }));
    this.#goOn();
  }

  #apply(effects: readonly SendEffect[]): void {
    for (const effect of effects) {
      switch (effect.kind) {
        case 'release':
          for (let i = 0; i < effect.frames; i++) this.#ring.shift();
          break;
        case 'probe':
          this.#probe(effect.next);
          break;
        case 'repairing':
          this.#repairs += 1;
          break;
        case 'stalled':
          this.#options.onStalled?.(stalled(effect.stillMs));
          break;
        case 'moving':
          this.#options.onStalled?.(undefined);
          break;
        case 'broken':
          this.#break(effect.reason);
          return;
      }
    }
  }

  /** Lets those in who wait, sends what is due, and rests when nothing is left. */
  #goOn(): void {
    while (this.#over === undefined && this.#waiting.length > 0) {
      if (!this.#window.hasRoom(this.#waiting[0]!.bytes)) break;
      this.#waiting.shift()!.admit();
    }
    if (this.#over !== undefined) return;
    this.#transmit();
    const oldest = this.#window.nextSequence - this.#window.heldFrames;
    while (this.#consumed.length > 0 && this.#consumed[0]!.until <= oldest) {
      this.#consumed.shift()!.resolve();
    }
    if (this.#window.heldFrames > 0) return;
    this.#stopTicking?.();
    this.#stopTicking = undefined;
  }

  #probe(next: number): void {
    const { guest, session, transport, dataSubject } = this.#options;
    const from = { guest, session, term: this.#term };
    transport.publish(dataSubject, encodeMessage(from, { kind: 'probe', next }));
  }

  #break(reason: string): void {
    const error = new UnderstudyError('E_STREAM_BROKEN', `the data stream broke: ${reason}`, {
      hint: 'The epoch is given up and the session starts anew; check the NATS servers if it recurs.',
    });
    this.#end(error);
    queueMicrotask(() => this.#options.onBroken(error));
  }

  #end(error: UnderstudyError): void {
    if (this.#over !== undefined) return;
    this.#over = error;
    this.#stopTicking?.();
    this.#subscription.unsubscribe();
    this.#forgetStatus();
    for (const { reject } of this.#waiting.splice(0)) reject(error);
    for (const { reject } of this.#consumed.splice(0)) reject(error);
  }
}

interface Waiting {
  readonly bytes: number;
  readonly admit: () => void;
  readonly reject: (error: Error) => void;
}

interface Settled {
  /** The first frame that need not be consumed. */
  readonly until: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

function tooLarge(kind: StreamKind, bytes: number, room: number): UnderstudyError {
  const message = `a ${kind} frame of ${bytes} bytes does not fit ${room}`;
  return new UnderstudyError('E_FRAME_TOO_LARGE', message, {
    hint: 'Raise max_payload of the NATS server, or use chunks of `chunkBytesFor(max_payload)`.',
    fields: { bytes, room },
  });
}

function stalled(stillMs: number): UnderstudyError {
  const seconds = (stillMs / 1000).toFixed(1);
  const message = `the backup has consumed nothing of the data stream for ${seconds} s`;
  return new UnderstudyError('E_STREAM_STALLED', message, {
    hint: 'Check that the backup runs and that both sides reach NATS; sending goes on by itself.',
    fields: { stillMs },
  });
}
