import { ReceiveWindow } from '../../../shared/transport/receive-window.ts';
import { type SendLimits, SendWindow } from '../../../shared/transport/send-window.ts';
import type { Credit } from '../../../shared/wire/flow-body.ts';

export interface SimulationOptions {
  readonly seed: number;
  readonly frames: number;
  readonly frameBytes: number;
  readonly lossRate: number;
  readonly duplicateRate: number;
  readonly delayMsMax: number;
  /** Chance of a disconnect of either side in each millisecond. */
  readonly disconnectRate: number;
  /** How long the handler takes for a frame, at most. */
  readonly handleMsMax: number;
  readonly limits: SendLimits;
}

export interface SimulationResult {
  readonly delivered: readonly number[];
  readonly transmissions: number;
  readonly heldBytesMax: number;
  readonly queuedBytesMax: number;
  readonly tookMs: number;
  readonly broken: string | undefined;
  readonly stalls: number;
}

/**
 * The two windows with a lossy bus between them, in virtual time: everything by chance from one
 * seed. It ends when all is delivered and consumed, or broken, or after ten virtual minutes.
 */
export function simulateWindows(options: SimulationOptions): SimulationResult {
  return new Simulation(options).run();
}

type Packet =
  | { to: 'receiver'; kind: 'frame'; sequence: number }
  | { to: 'receiver'; kind: 'probe'; next: number }
  | { to: 'sender'; kind: 'credit'; credit: Credit };

class Simulation {
  readonly #options: SimulationOptions;
  readonly #random: () => number;
  readonly #sender: SendWindow;
  readonly #receiver: ReceiveWindow;
  readonly #flying: { packet: Packet; atMs: number; connection: number }[] = [];
  readonly #connected = { sender: true, receiver: true };
  readonly #backAtMs = { sender: 0, receiver: 0 };
  readonly #queue: number[] = [];
  readonly #delivered: number[] = [];
  #connection = 0;
  #nowMs = 0;
  #handledAtMs = 0;
  #accepted = 0;
  /** Sequence of the oldest frame that the sender holds: as its ring would have it. */
  #oldest = 1;
  #transmissions = 0;
  #heldBytesMax = 0;
  #queuedBytesMax = 0;
  #stalls = 0;
  #broken: string | undefined;

  constructor(options: SimulationOptions) {
    this.#options = options;
    this.#random = generator(options.seed);
    this.#sender = new SendWindow(true, options.limits);
    this.#receiver = new ReceiveWindow(true, {
      windowBytes: options.limits.windowBytes,
      creditShare: 4,
      creditDelayMs: 2,
      repairAfterMs: options.limits.repairAfterMs,
      repairsMax: options.limits.repairsMax,
    });
  }

  run(): SimulationResult {
    const limitMs = 600_000;
    while (this.#nowMs < limitMs && this.#broken === undefined) {
      this.#toggleConnections();
      this.#arrive();
      this.#handle();
      this.#fill();
      this.#send(this.#sender.step({ kind: 'tick', nowMs: this.#nowMs }));
      const dueAtMs = this.#receiver.dueAtMs;
      if (dueAtMs !== undefined && dueAtMs <= this.#nowMs) {
        this.#answer(this.#receiver.step({ kind: 'tick', nowMs: this.#nowMs }));
      }
      if (this.#delivered.length === this.#options.frames && this.#sender.heldFrames === 0) break;
      this.#nowMs += 1;
    }
    return {
      delivered: this.#delivered,
      transmissions: this.#transmissions,
      heldBytesMax: this.#heldBytesMax,
      queuedBytesMax: this.#queuedBytesMax,
      tookMs: this.#nowMs,
      broken: this.#broken,
      stalls: this.#stalls,
    };
  }

  #toggleConnections(): void {
    for (const side of ['sender', 'receiver'] as const) {
      const machine = side === 'sender' ? this.#sender : this.#receiver;
      if (this.#connected[side] && this.#random() < this.#options.disconnectRate) {
        this.#connected[side] = false;
        this.#connection += 1;
        this.#backAtMs[side] = this.#nowMs + 1 + Math.floor(this.#random() * 300);
        machine.step({ kind: 'disconnected' });
      } else if (!this.#connected[side] && this.#nowMs >= this.#backAtMs[side]) {
        this.#connected[side] = true;
        if (side === 'sender') {
          this.#send(this.#sender.step({ kind: 'connected', nowMs: this.#nowMs }));
        } else this.#answer(this.#receiver.step({ kind: 'connected', nowMs: this.#nowMs }));
      }
    }
  }

  #arrive(): void {
    const due = this.#flying.filter(({ atMs }) => atMs <= this.#nowMs);
    for (const each of due) this.#flying.splice(this.#flying.indexOf(each), 1);
    due.sort((a, b) => a.atMs - b.atMs);
    for (const { packet, connection } of due) {
      if (connection !== this.#connection) continue;
      const nowMs = this.#nowMs;
      if (packet.kind === 'credit') {
        this.#send(this.#sender.step({ kind: 'credit', credit: packet.credit, nowMs }));
      } else if (packet.kind === 'probe') {
        this.#answer(this.#receiver.step({ kind: 'probe', next: packet.next, nowMs }));
      } else {
        const { sequence } = packet;
        const bytes = this.#options.frameBytes;
        const effects = this.#receiver.step({ kind: 'frame', sequence, bytes, nowMs });
        if (effects.some(({ kind }) => kind === 'accept')) this.#queue.push(sequence);
        this.#answer(effects);
      }
    }
    this.#queuedBytesMax = Math.max(this.#queuedBytesMax, this.#receiver.queuedBytes);
  }

  #handle(): void {
    while (this.#queue.length > 0 && this.#handledAtMs <= this.#nowMs) {
      this.#delivered.push(this.#queue.shift()!);
      this.#handledAtMs = this.#nowMs + this.#random() * this.#options.handleMsMax;
      const bytes = this.#options.frameBytes;
      this.#answer(this.#receiver.step({ kind: 'consumed', bytes, nowMs: this.#nowMs }));
    }
  }

  #fill(): void {
    const { frames, frameBytes } = this.#options;
    while (this.#accepted < frames && this.#sender.hasRoom(frameBytes)) {
      this.#accepted += 1;
      this.#sender.step({ kind: 'accepted', bytes: frameBytes, nowMs: this.#nowMs });
    }
    this.#heldBytesMax = Math.max(this.#heldBytesMax, this.#sender.heldBytes);
    for (
      let index = this.#sender.toTransmit;
      index !== undefined;
      index = this.#sender.toTransmit
    ) {
      this.#transmissions += 1;
      this.#fly({ to: 'receiver', kind: 'frame', sequence: this.#oldest + index });
      this.#sender.step({ kind: 'transmitted' });
    }
  }

  #send(effects: ReturnType<SendWindow['step']>): void {
    for (const effect of effects) {
      if (effect.kind === 'release') this.#oldest += effect.frames;
      if (effect.kind === 'probe') this.#fly({ to: 'receiver', kind: 'probe', next: effect.next });
      if (effect.kind === 'broken') this.#broken = effect.reason;
      if (effect.kind === 'stalled') this.#stalls += 1;
    }
  }

  #answer(effects: ReturnType<ReceiveWindow['step']>): void {
    for (const effect of effects) {
      if (effect.kind === 'report') {
        this.#fly({ to: 'sender', kind: 'credit', credit: effect.credit });
      }
      if (effect.kind === 'broken') this.#broken = effect.reason;
    }
  }

  #fly(packet: Packet): void {
    if (!this.#connected.sender || !this.#connected.receiver) return;
    if (this.#random() < this.#options.lossRate) return;
    const times = this.#random() < this.#options.duplicateRate ? 2 : 1;
    for (let i = 0; i < times; i++) {
      const atMs = this.#nowMs + this.#random() * this.#options.delayMsMax;
      this.#flying.push({ packet, atMs, connection: this.#connection });
    }
  }
}

function generator(seed: number): () => number {
  let state = (seed * 2654435761 + 1) >>> 0;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 32;
  };
}
