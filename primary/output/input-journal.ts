import { type Epoch, epoch } from '../../shared/ids.ts';
import {
  type InputFrame,
  type InputLogMessage,
  inputFrameBytes,
} from '../../shared/wire/input-body.ts';

export interface JournalLimits {
  /** Of input that the backup has to keep between two checkpoints. */
  readonly bytesMax: number;
  /** Largest batch. */
  readonly batchBytesMax: number;
}

/**
 * The guest's input of one session, numbered from 1, until the backup has logged it, and the count of
 * what the backup keeps. Does no I/O and reads no clock.
 *
 * ```
 *   replayFrom        logged      sent       last
 *  ─────┼───────────────┼───────────┼──────────┼──
 *       │ the backup    │ under way │ waits    │
 *       └── bytesMax at most ───────┘          │
 *                       └──── frames held here ┘
 * ```
 *
 * Invariant: logged ≤ sent ≤ last; what is sent and not forgotten by the backup is at most bytesMax.
 */
export class InputJournal {
  readonly #limits: JournalLimits;
  /** Not logged yet: from `#logged` + 1 on. */
  #frames: { readonly frame: InputFrame; readonly endBytes: number }[] = [];
  #last = 0;
  #sent = 0;
  #logged = 0;
  /** Bytes of all input so far, and before what the backup has forgotten. */
  #totalBytes = 0;
  #forgottenBytes = 0;
  /** Input that a checkpoint taken now may lack, by its sequence and the bytes before it. */
  #recent: { readonly sequence: number; readonly startBytes: number; readonly bytes: number }[] =
    [];
  #recentBytes = 0;
  #checkpoints: { readonly epoch: Epoch; readonly from: number; readonly startBytes: number }[] =
    [];
  #epoch: Epoch = epoch(0);
  #replayFrom = 1;

  constructor(limits: JournalLimits) {
    this.#limits = limits;
  }

  get last(): number {
    return this.#last;
  }

  get logged(): number {
    return this.#logged;
  }

  /** Of `bytesMax`, what the backup keeps or will have to. */
  get filledShare(): number {
    return (this.#totalBytes - this.#forgottenBytes) / this.#limits.bytesMax;
  }

  /** The guest was told `frame`, which is copied. */
  append(card: number, frame: Uint8Array, inFlightBytesMax: number): void {
    const bytes = inputFrameBytes(frame);
    const startBytes = this.#totalBytes;
    this.#last += 1;
    this.#totalBytes += bytes;
    const kept = { card, frame: Uint8Array.from(frame) };
    this.#frames.push({ frame: kept, endBytes: this.#totalBytes });
    this.#recent.push({ sequence: this.#last, startBytes, bytes });
    this.#recentBytes += bytes;
    this.#forgetArrived(inFlightBytesMax);
  }

  /**
   * The checkpoint of `epoch` is taken. What was handed over last may still be on its way to the
   * guest, and so not in it: at most `inFlightBytesMax`.
   */
  barrier(number: Epoch, inFlightBytesMax: number): void {
    this.#forgetArrived(inFlightBytesMax);
    const oldest = this.#recent[0];
    const from = oldest?.sequence ?? this.#last + 1;
    this.#checkpoints.push({
      epoch: number,
      from,
      startBytes: oldest?.startBytes ?? this.#totalBytes,
    });
    this.#epoch = number;
    this.#replayFrom = from;
  }

  /** The backup holds the checkpoint of `number`, and forgets what came before it. */
  acknowledged(number: Epoch): void {
    for (const { epoch: of, startBytes } of this.#checkpoints) {
      if (of <= number) this.#forgottenBytes = Math.max(this.#forgottenBytes, startBytes);
    }
    this.#checkpoints = this.#checkpoints.filter(({ epoch: of }) => of > number);
  }

  /** The next batch that the backup has room for; undefined where nothing is to be sent. */
  next(): InputLogMessage | undefined {
    const { batchBytesMax, bytesMax } = this.#limits;
    const frames: InputFrame[] = [];
    const first = this.#sent + 1;
    let bytes = 0;
    for (let at = this.#sent - this.#logged; at < this.#frames.length; at++) {
      const { frame, endBytes } = this.#frames[at]!;
      const size = inputFrameBytes(frame.frame);
      if (bytes + size > batchBytesMax || endBytes - this.#forgottenBytes > bytesMax) break;
      bytes += size;
      frames.push(frame);
    }
    if (frames.length === 0) return undefined;
    this.#sent += frames.length;
    return this.#message(first, frames);
  }

  /** Tells the backup of the newest checkpoint, without input. */
  epochMessage(): InputLogMessage {
    return this.#message(this.#sent + 1, []);
  }

  /** The backup has input up to `sequence`. False where that is no news, or no answer to us. */
  loggedTo(sequence: number): boolean {
    if (sequence <= this.#logged || sequence > this.#sent) return false;
    this.#frames.splice(0, sequence - this.#logged);
    this.#logged = sequence;
    return true;
  }

  /** What was sent and not logged is sent again. */
  repeat(): void {
    this.#sent = this.#logged;
  }

  /** Of what the guest was told, what is not sent, or has to be sent again. */
  get unsentBytes(): number {
    const at = this.#sent - this.#logged;
    const next = this.#frames[at];
    if (next === undefined) return 0;
    return this.#totalBytes - next.endBytes + inputFrameBytes(next.frame.frame);
  }

  /** Something is sent that the backup has not said to have. */
  get isWaiting(): boolean {
    return this.#sent > this.#logged;
  }

  /** QEMU has read what so many bytes were handed over after. */
  #forgetArrived(inFlightBytesMax: number): void {
    for (;;) {
      const oldest = this.#recent[0];
      if (oldest === undefined || this.#recentBytes - oldest.bytes < inFlightBytesMax) return;
      this.#recentBytes -= oldest.bytes;
      this.#recent.shift();
    }
  }

  #message(first: number, frames: readonly InputFrame[]): InputLogMessage {
    const replayFrom = Math.min(this.#replayFrom, first);
    return { kind: 'input-log', epoch: this.#epoch, first, replayFrom, frames };
  }
}
