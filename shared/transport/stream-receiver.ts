import { bounds, frameBytesMax } from '../bounds.ts';
import { type AlarmClock, type CallOff, monotonicClock } from '../clock.ts';
import { UnderstudyError } from '../errors.ts';
import { type Term, term } from '../ids.ts';
import type { Credit } from '../wire/flow-body.ts';
import {
  checkOrigin,
  checkTerm,
  decodeFrame,
  type Frame,
  frameHeaderBytes,
} from '../wire/frame.ts';
import { isStreamKind, type StreamKind } from '../wire/frame-kind.ts';
import { decodeMessage, encodeMessage } from '../wire/message.ts';
import { FrameRing } from './frame-ring.ts';
import {
  defaultReceiveLimits,
  type ReceiveEffect,
  type ReceiveEvent,
  type ReceiveLimits,
  ReceiveWindow,
} from './receive-window.ts';
import type { Subscription, Transport } from './transport.ts';

/** A frame of the data stream. */
export type StreamFrame = Frame & { readonly kind: StreamKind };

export interface StreamReceiverOptions {
  readonly transport: Transport;
  readonly dataSubject: string;
  readonly creditSubject: string;
  /** From `guestHash` and `sessionBits`: frames of others are refused. */
  readonly guest: bigint;
  readonly session: bigint;
  /** Gets each frame once, in order, the next one when it is done. The body is lent till then. */
  readonly handler: (frame: StreamFrame) => Promise<void> | void;
  /** `E_STREAM_BROKEN`, or what the handler threw. Called once; nothing is handled afterwards. */
  readonly onBroken: (error: unknown) => void;
  /**
   * A frame of another guest or session (`E_FRAME_FOREIGN`, for example of a second primary) or of
   * an older term (`E_FRAME_STALE`) was refused: once for each.
   */
  readonly onRefused?: (error: UnderstudyError) => void;
  /** A frame of this session came and was taken; it is handled when its turn comes. */
  readonly onArrived?: () => void;
  /** The frames that come now are of a higher term than those before. */
  readonly onTerm?: (term: Term) => void;
  readonly clock?: AlarmClock;
  readonly limits?: ReceiveLimits;
}

/**
 * Receives the frames of one session. The bus's callback checks a frame, copies it into a ring
 * that is allocated once, and returns; the handler runs at its own pace, and its pace is what
 * the sender is given credit for.
 */
export class StreamReceiver {
  readonly #options: StreamReceiverOptions;
  readonly #clock: AlarmClock;
  readonly #window: ReceiveWindow;
  readonly #ring: FrameRing;
  readonly #queue: StreamFrame[] = [];
  readonly #subscription: Subscription;
  readonly #forgetStatus: () => void;
  readonly #counts = {
    ...{ frames: 0, bytes: 0, duplicates: 0, gaps: 0, corrupt: 0, foreign: 0, stale: 0 },
  };
  /**
   * Of the newest frame that was taken. In order terms only rise; a frame that came twice is
   * dropped before its term, which may be a lower one, is looked at.
   */
  #term: Term = term(0);
  #credit: Credit | undefined;
  #draining: Promise<void> | undefined;
  #turnAsked = false;
  #timer: CallOff | undefined;
  #timerAtMs = 0;
  #closed = false;

  constructor(options: StreamReceiverOptions) {
    this.#options = options;
    this.#clock = options.clock ?? monotonicClock;
    const limits = options.limits ?? defaultReceiveLimits;
    const { transport } = options;
    this.#window = new ReceiveWindow(transport.connected, limits);
    this.#ring = new FrameRing(limits.windowBytes + 2 * frameBytesMax, bounds.windowFramesMax);
    this.#subscription = transport.subscribe(options.dataSubject, (bytes) => this.#hear(bytes));
    this.#forgetStatus = transport.onStatus((connected) => {
      const nowMs = this.#clock.nowMs();
      this.#step(connected ? { kind: 'connected', nowMs } : { kind: 'disconnected' });
    });
  }

  /** Frames and bytes handled over to the handler, and what was dropped and why. */
  get stats(): Readonly<Record<'frames' | 'bytes' | DropCount, number>> {
    return { ...this.#counts };
  }

  /**
   * Stops receiving; resolves when the handler is not running any more. Not to be awaited by the
   * handler itself.
   */
  async close(): Promise<void> {
    this.#stop();
    await this.#draining;
  }

  /** Inside the bus's callback: checks, copies, books; acts later. */
  #hear(bytes: Uint8Array): void {
    if (this.#closed) return;
    const frame = this.#checked(bytes);
    if (frame === undefined) return;
    const nowMs = this.#clock.nowMs();
    if (frame.kind === 'probe') {
      const message = decodeMessage(frame);
      if (message.kind === 'probe') this.#step({ kind: 'probe', next: message.next, nowMs });
      return;
    }
    const { kind, sequence } = frame;
    if (!isStreamKind(kind)) return;
    const size = bytes.byteLength;
    const effects = this.#step({ kind: 'frame', sequence, bytes: size, nowMs });
    if (!effects.some((effect) => effect.kind === 'accept')) return;
    this.#options.onArrived?.();
    if (frame.term > this.#term) {
      this.#term = frame.term;
      this.#options.onTerm?.(frame.term);
    }
    const place = this.#ring.push(size);
    if (place === undefined) throw new Error('the ring is smaller than the window');
    place.set(bytes);
    this.#queue.push({ ...frame, kind, body: place.subarray(frameHeaderBytes) });
  }

  #checked(bytes: Uint8Array): Frame | undefined {
    try {
      const frame = decodeFrame(bytes);
      checkOrigin(frame, this.#options.guest, this.#options.session);
      const cameTwice = isStreamKind(frame.kind) && frame.sequence < this.#window.expected;
      if (!cameTwice) checkTerm(frame, this.#term);
      return frame;
    } catch (error) {
      if (!(error instanceof UnderstudyError)) throw error;
      if (error.code === 'E_FRAME_FOREIGN' || error.code === 'E_FRAME_STALE') {
        this.#counts[error.code === 'E_FRAME_STALE' ? 'stale' : 'foreign'] += 1;
        queueMicrotask(() => this.#options.onRefused?.(error));
      } else {
        // As good as lost: the gap is noticed and the frame is sent again.
        this.#counts.corrupt += 1;
      }
      return undefined;
    }
  }

  #step(event: ReceiveEvent): readonly ReceiveEffect[] {
    if (this.#closed) return [];
    const effects = this.#window.step(event);
    for (const effect of effects) {
      switch (effect.kind) {
        case 'accept':
          this.#askTurn();
          break;
        case 'drop':
          this.#counts[effect.why === 'duplicate' ? 'duplicates' : 'gaps'] += 1;
          break;
        case 'report': {
          // Only the newest report counts, but a wish for repair is not to be forgotten.
          const repair = effect.credit.repair || this.#credit?.repair === true;
          this.#credit = { ...effect.credit, repair };
          this.#askTurn();
          break;
        }
        case 'broken':
          this.#break(broken(effect.reason));
          break;
      }
    }
    this.#armTimer();
    return effects;
  }

  #askTurn(): void {
    if (this.#turnAsked || this.#closed) return;
    this.#turnAsked = true;
    this.#clock.soon(() => {
      this.#turnAsked = false;
      this.#report();
      if (this.#queue.length > 0) this.#draining ??= this.#drain();
    });
  }

  async #drain(): Promise<void> {
    for (let frame = this.#queue[0]; frame !== undefined && !this.#closed; frame = this.#queue[0]) {
      try {
        await this.#options.handler(frame);
      } catch (error) {
        this.#break(error);
        break;
      }
      const bytes = frameHeaderBytes + frame.body.byteLength;
      this.#queue.shift();
      this.#ring.shift();
      this.#counts.frames += 1;
      this.#counts.bytes += bytes;
      this.#step({ kind: 'consumed', bytes, nowMs: this.#clock.nowMs() });
      this.#report();
    }
    this.#draining = undefined;
  }

  #report(): void {
    const credit = this.#credit;
    if (credit === undefined || this.#closed) return;
    this.#credit = undefined;
    const { guest, session, transport, creditSubject } = this.#options;
    // Refused while disconnected: a report follows on reconnect.
    transport.publish(creditSubject, encodeMessage({ guest, session, term: term(0) }, credit));
  }

  #armTimer(): void {
    const dueAtMs = this.#window.dueAtMs;
    if (dueAtMs === undefined || this.#closed) return;
    if (this.#timer !== undefined && this.#timerAtMs <= dueAtMs) return;
    this.#timer?.();
    this.#timerAtMs = dueAtMs;
    const waitMs = Math.max(1, Math.ceil(dueAtMs - this.#clock.nowMs()));
    this.#timer = this.#clock.after(waitMs, () => {
      this.#timer = undefined;
      this.#step({ kind: 'tick', nowMs: this.#clock.nowMs() });
    });
  }

  #break(error: unknown): void {
    if (this.#closed) return;
    this.#stop();
    queueMicrotask(() => this.#options.onBroken(error));
  }

  #stop(): void {
    this.#closed = true;
    this.#timer?.();
    this.#subscription.unsubscribe();
    this.#forgetStatus();
  }
}

type DropCount = 'duplicates' | 'gaps' | 'corrupt' | 'foreign' | 'stale';

function broken(reason: string): UnderstudyError {
  return new UnderstudyError('E_STREAM_BROKEN', `the data stream broke: ${reason}`, {
    hint: 'The epoch is given up and the session starts anew; check the NATS servers if it recurs.',
  });
}
