import { asInputLog, HandoverInput } from '../../primary/output/handover-input.ts';
import { HeldOutput } from '../../primary/output/held-output.ts';
import type { PauseListener } from '../../primary/output/readable-guest.ts';
import type { GuestOutput, HandoverPort } from '../../primary/parts.ts';
import type { Epoch } from '../../shared/ids.ts';
import type { InputFrame, InputLogMessage } from '../../shared/wire/input-body.ts';
import type { CounterProcess, Request } from './counter-guest.ts';
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
export class SimCable implements GuestOutput, HandoverPort, PauseListener {
  readonly #options: CableOptions;
  readonly #handover: HandoverInput;
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
    this.#handover = new HandoverInput(({ frame }) => guest.request(requestOf(frame)), []);
    outside.attach(host, (request) => {
      thread.inputNow(() => {
        if (!this.#letsInput || this.#handover.takes(0, frameOf(request))) return;
        guest.request(request);
      });
    });
  }

  begin(): void {
    this.#handover.begin();
  }

  forward(epoch: Epoch, send: (message: InputLogMessage) => void): void {
    this.#handover.forward(asInputLog(epoch, send));
  }

  hold(): void {
    this.#held.hold();
  }

  pausing(): void {
    this.#held.pausing();
    this.#handover.pausing();
  }

  barrier(epoch: Epoch): void {
    this.#held.barrier(epoch);
  }

  resumed(): void {
    this.#held.resumed();
    this.#handover.resumed();
  }

  acknowledged(epoch: Epoch): void {
    this.#held.acknowledged(epoch);
  }

  sessionEnded(): void {
    this.#held.sessionEnded();
    this.#handover.ended();
  }

  releaseAll(): void {
    this.#held.releaseAll();
    this.#letsInput = true;
  }

  drop(): void {
    this.#held.drop();
    this.#handover.dropped();
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
export class SimStandbyLine {
  readonly #line: Pick<CableOptions, 'thread' | 'outside' | 'host'>;
  /** Frames in the cable of a standby that does not run yet. */
  #waiting: readonly InputFrame[] = [];
  #guest: CounterProcess | undefined;

  constructor(line: Pick<CableOptions, 'thread' | 'outside' | 'host'>) {
    this.#line = line;
  }

  connect(replay: readonly InputFrame[]): void {
    const { thread, outside, host } = this.#line;
    this.#waiting = replay;
    outside.attach(host, (request) => thread.inputNow(() => this.#guest?.request(request)));
  }

  tell(frames: readonly InputFrame[]): void {
    const guest = this.#guest;
    if (guest === undefined) this.#waiting = [...this.#waiting, ...frames];
    else for (const { frame } of frames) guest.request(requestOf(frame));
  }

  /** It runs. */
  resumed(guest: CounterProcess): void {
    const { thread, outside, host } = this.#line;
    guest.cable = (frame) => thread.inputNow(() => outside.fromGuest(host, frame));
    this.#guest = guest;
    const waiting = this.#waiting;
    this.#waiting = [];
    thread.inputNow(() => this.tell(waiting));
  }
}

/** A request as a frame on a cable, and back. */
function frameOf({ client, number }: Request): Uint8Array {
  return new Uint8Array(Uint32Array.of(client, number).buffer);
}

function requestOf(frame: Uint8Array): Request {
  const [client, number] = new Uint32Array(Uint8Array.from(frame).buffer);
  return { client: client!, number: number! };
}
