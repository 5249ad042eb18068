import type { Epoch } from '../../shared/ids.ts';
import { networkBounds } from '../../shared/net/network-bounds.ts';
import {
  type InputFrame,
  type InputLogMessage,
  inputFrameBytes,
} from '../../shared/wire/input-body.ts';

/**
 * What comes for a guest that stands still to go on elsewhere. Told to the copy here it would be lost,
 * and clients would wait until they send it again: so it is kept, forwarded once the backup was
 * asked to go on, and told to the guest here where that comes to nothing.
 *
 * ```
 *            begin           pausing              forward
 *   (off) ──────────► armed ─────────► holding ────────────► forwarding
 *     ▲                 ▲                 │                      │
 *     │                 └── resumed: told ┴──────────────────────┤
 *     └────── ended: told · dropped: nobody is to hear it ───────┘
 * ```
 *
 * Bounded; what does not fit is dropped, as a network may, the newest first. The guest's own frames,
 * which come here once it speaks elsewhere, are not for it.
 */
export class HandoverInput {
  readonly #tell: (frame: InputFrame) => void;
  /** Hardware addresses of the guest's cards, as hex digits. */
  readonly #ownAddresses: ReadonlySet<string>;
  #state: 'off' | 'armed' | 'holding' | 'forwarding' = 'off';
  #send: (frame: InputFrame) => void = () => {};
  #frames: InputFrame[] = [];
  #bytes = 0;
  #droppedFrames = 0;

  /** `tell`: the guest here is told a frame. `macs`: of the guest's cards, with colons. */
  constructor(tell: (frame: InputFrame) => void, macs: readonly string[]) {
    this.#tell = tell;
    this.#ownAddresses = new Set(macs.map((mac) => mac.replaceAll(':', '').toLowerCase()));
  }

  /** Did not fit, since the start. */
  get droppedFrames(): number {
    return this.#droppedFrames;
  }

  /** The next pause is the guest's last one here. */
  begin(): void {
    if (this.#state === 'off') this.#state = 'armed';
  }

  pausing(): void {
    if (this.#state === 'armed') this.#state = 'holding';
  }

  /** The guest runs on here. */
  resumed(): void {
    if (this.#state === 'off') return;
    this.#giveBack('armed');
  }

  /** What was kept goes to `send`, in order, and so does what still comes. */
  forward(send: (frame: InputFrame) => void): void {
    if (this.#state !== 'holding') return;
    this.#state = 'forwarding';
    this.#send = send;
    for (const frame of this.#frames) send(frame);
  }

  /** Nobody goes on with the guest, as far as is known here: if it runs again, then here. */
  ended(): void {
    this.#giveBack('off');
  }

  /** Another host goes on with it. */
  dropped(): void {
    this.#state = 'off';
    this.#clear();
  }

  /** True where `frame`, a view, is not to be told to the guest now. */
  takes(card: number, frame: Uint8Array): boolean {
    if (this.#state !== 'holding' && this.#state !== 'forwarding') return false;
    if (this.#ownAddresses.has(Buffer.from(frame.subarray(6, 12)).toString('hex'))) return true;
    const bytes = inputFrameBytes(frame);
    const { handoverBytesMax, handoverFramesMax } = networkBounds;
    if (this.#frames.length === handoverFramesMax || this.#bytes + bytes > handoverBytesMax) {
      this.#droppedFrames += 1;
      return true;
    }
    const kept = { card, frame: Uint8Array.from(frame) };
    this.#frames.push(kept);
    this.#bytes += bytes;
    if (this.#state === 'forwarding') this.#send(kept);
    return true;
  }

  #giveBack(next: 'off' | 'armed'): void {
    const frames = this.#frames;
    this.#state = next;
    this.#clear();
    for (const frame of frames) this.#tell(frame);
  }

  #clear(): void {
    this.#frames = [];
    this.#bytes = 0;
    this.#send = () => {};
  }
}

/** Messages for one frame each: a log of input that begins after the checkpoint of `epoch`. */
export function asInputLog(
  epoch: Epoch,
  send: (message: InputLogMessage) => void,
): (frame: InputFrame) => void {
  let first = 0;
  return (frame) => {
    first += 1;
    send({ kind: 'input-log', epoch, first, replayFrom: 1, frames: [frame] });
  };
}
