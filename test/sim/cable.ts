import { HeldOutput } from '../../primary/output/held-output.ts';
import type { PauseListener } from '../../primary/output/readable-guest.ts';
import type { GuestOutput } from '../../primary/parts.ts';
import type { Epoch } from '../../shared/ids.ts';
import type { CounterProcess } from './counter-guest.ts';
import type { Outside } from './outside.ts';
import type { Thread } from './thread.ts';

export interface CableOptions {
  readonly guest: CounterProcess;
  readonly thread: Thread;
  readonly outside: Outside;
  readonly host: number;
  readonly onCheckpointWanted: () => void;
  readonly onOutputWaits: () => void;
  /** The guest was just taken over, by the process that goes on with it. */
  readonly passes: boolean;
}

/**
 * What `GuestCable` is on a real host: the agent is the far end of the guest's cable. The gate and
 * what it holds are the real ones, sockets and TAPs are the simulation's.
 */
export class SimCable implements GuestOutput, PauseListener {
  readonly #options: CableOptions;
  readonly #held: HeldOutput;
  /** In the socket, because nobody reads. */
  readonly #unread: Uint8Array[] = [];
  #reads = true;
  #letsInput = false;

  constructor(options: CableOptions) {
    this.#options = options;
    const { guest, thread, outside, host, onCheckpointWanted, onOutputWaits } = options;
    this.#held = new HeldOutput({
      mode: 'commit',
      limits: {
        bytesMax: 8000,
        framesMax: 60,
        nearlyFullShare: 0.5,
        resumeShare: 0.25,
        reserveBytes: 8000,
      },
      clock: thread,
      release: (_card, frame) => outside.fromGuest(host, frame),
      onCheckpointWanted,
      onHeld: onOutputWaits,
      onReading: (reads) => this.#setReading(reads),
    });
    if (options.passes) this.releaseAll();
    guest.cable = (frame) => thread.inputNow(() => this.#read(frame));
    outside.attach(host, (request) => {
      thread.inputNow(() => {
        if (this.#letsInput) guest.request(request);
      });
    });
  }

  hold(): void {
    this.#held.hold();
  }

  pausing(): void {
    this.#held.pausing();
  }

  barrier(epoch: Epoch): void {
    this.#held.barrier(epoch);
  }

  resumed(): void {
    this.#held.resumed();
  }

  acknowledged(epoch: Epoch): void {
    this.#held.acknowledged(epoch);
  }

  sessionEnded(): void {
    this.#held.sessionEnded();
  }

  releaseAll(): void {
    this.#held.releaseAll();
    this.#letsInput = true;
  }

  drop(): void {
    this.#held.drop();
    this.#letsInput = false;
  }

  close(): void {
    const { guest, outside, host } = this.#options;
    guest.cable = undefined;
    outside.attach(host, undefined);
  }

  #read(frame: Uint8Array): void {
    if (this.#reads) this.#held.frame(0, frame);
    else if (this.#unread.length < 100) this.#unread.push(frame);
  }

  #setReading(reads: boolean): void {
    this.#reads = reads;
    if (!reads) return;
    this.#options.thread.input(0.01, () => {
      while (this.#reads && this.#unread.length > 0) this.#held.frame(0, this.#unread.shift()!);
    });
  }
}

/** What `StandbyNetwork` is on a real host: silent until the guest may run here. */
export function connectStandby(
  { thread, outside, host }: Pick<CableOptions, 'thread' | 'outside' | 'host'>,
  guest: () => CounterProcess | undefined,
): void {
  outside.attach(host, (request) => thread.inputNow(() => guest()?.request(request)));
}

/** As `connectStandby`, once it runs. */
export function connectResumed(
  { thread, outside, host }: Pick<CableOptions, 'thread' | 'outside' | 'host'>,
  guest: CounterProcess,
): void {
  guest.cable = (frame) => thread.inputNow(() => outside.fromGuest(host, frame));
}
