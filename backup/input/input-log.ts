import { UnderstudyError } from '../../shared/errors.ts';
import type { Epoch, SessionId } from '../../shared/ids.ts';
import {
  type InputFrame,
  type InputLogMessage,
  inputFrameBytes,
} from '../../shared/wire/input-body.ts';

/**
 * What the guest was told since the checkpoint that the backup holds, as its primary logs it: after a
 * takeover it is told again. In memory, bounded; of one session.
 *
 * Invariant: the frames have sequences `#first` … `#first + length − 1`, without a gap.
 */
export class InputLog {
  readonly #bytesMax: number;
  readonly #onWarning: (error: UnderstudyError) => void;
  #session: SessionId | undefined;
  #first = 1;
  #frames: InputFrame[] = [];
  #bytes = 0;
  /**
   * By rising epochs: from where on a guest of that epoch may lack input, and from where on it may
   * have been told after its checkpoint.
   */
  #starts: { readonly epoch: Epoch; readonly from: number; after: number }[] = [];
  #committed = 0;
  #warned = false;

  constructor(bytesMax: number, onWarning: (error: UnderstudyError) => void) {
    this.#bytesMax = bytesMax;
    this.#onWarning = onWarning;
  }

  /** Another session: what was logged belongs to epochs that nobody may resume any more. */
  begin(session: SessionId): void {
    this.#session = session;
    this.#first = 1;
    this.#frames = [];
    this.#bytes = 0;
    this.#starts = [];
    this.#committed = 0;
    this.#warned = false;
  }

  /**
   * Takes what follows what is here, as far as there is room. Returns up to where input is logged;
   * undefined for another session. Warns `E_INPUT_LOG_FULL`, once a session.
   */
  add(session: SessionId, message: InputLogMessage): number | undefined {
    if (session !== this.#session) return undefined;
    const { epoch, first, replayFrom, frames } = message;
    const newest = this.#starts.at(-1);
    if (epoch > (newest?.epoch ?? 0)) this.#starts.push({ epoch, from: replayFrom, after: first });
    else if (epoch === newest?.epoch) newest.after = Math.min(newest.after, first);
    this.#forget();
    for (let next = this.last + 1 - first; next >= 0 && next < frames.length; next++) {
      const { card, frame } = frames[next]!;
      const bytes = inputFrameBytes(frame);
      if (this.#bytes + bytes > this.#bytesMax) {
        this.#warnFull();
        break;
      }
      // The message is a view of what came.
      this.#frames.push({ card, frame: Uint8Array.from(frame) });
      this.#bytes += bytes;
    }
    return this.last;
  }

  /** The store holds `epoch` of the session. */
  committed(epoch: Epoch): void {
    this.#committed = epoch;
    this.#forget();
  }

  /** What a guest that is resumed from the epoch that was committed last is to be told again. */
  get toReplay(): readonly InputFrame[] {
    return this.#frames;
  }

  /** So many of those the guest was told before its checkpoint, for certain. */
  get toldBefore(): number {
    const after = this.#startOfCommitted?.after ?? this.#first;
    return Math.min(Math.max(0, after - this.#first), this.#frames.length);
  }

  /** What follows `sequence`. */
  after(sequence: number): readonly InputFrame[] {
    return this.#frames.slice(Math.max(0, sequence + 1 - this.#first));
  }

  /** Sequence of the last frame; 0 before there is one. */
  get last(): number {
    return this.#first + this.#frames.length - 1;
  }

  get #startOfCommitted() {
    return this.#starts.findLast(({ epoch }) => epoch <= this.#committed);
  }

  #forget(): void {
    const start = this.#startOfCommitted;
    if (start === undefined) return;
    this.#starts = this.#starts.filter(({ epoch }) => epoch >= start.epoch);
    const count = Math.min(start.from - this.#first, this.#frames.length);
    if (count <= 0) return;
    for (const { frame } of this.#frames.splice(0, count)) this.#bytes -= inputFrameBytes(frame);
    this.#first += count;
  }

  #warnFull(): void {
    if (this.#warned) return;
    this.#warned = true;
    const message = "the log of the guest's input is full here: its output waits for a checkpoint";
    this.#onWarning(
      new UnderstudyError('E_INPUT_LOG_FULL', message, {
        hint: 'Make output.inputLog.bytesMax the same in both files, or lower epoch.intervalMs.',
        fields: { bytesMax: this.#bytesMax },
      }),
    );
  }
}
