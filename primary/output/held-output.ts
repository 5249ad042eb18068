import type { AlarmClock } from '../../shared/clock.ts';
import { networkBounds } from '../../shared/net/network-bounds.ts';
import type { IsSure } from '../parts.ts';
import {
  type GateEffect,
  type GateEvent,
  type GateLimits,
  type GateMode,
  type GateState,
  initialGateState,
  stepOutputGate,
} from './output-gate.ts';

export interface HeldOutputOptions {
  readonly mode: GateMode;
  readonly limits?: GateLimits;
  readonly clock: Pick<AlarmClock, 'soon'>;
  /** A frame leaves the host by the uplink of `card`. Must not throw. */
  readonly release: (card: number, frame: Uint8Array) => void;
  /** Never called within a call of `HeldOutput`. */
  readonly onCheckpointWanted: () => void;
  /** A frame is held. Called within a call of `HeldOutput`. */
  readonly onHeld?: () => void;
  /** The cables of all cards are to be read, or not. */
  readonly onReading: (reading: boolean) => void;
}

export interface HeldOutputCounts {
  /** Held at this moment. */
  readonly heldFrames: number;
  readonly heldBytes: number;
  readonly releasedFrames: number;
  readonly discardedFrames: number;
  /** How often the cables were not read because too much was held. */
  readonly fullTimes: number;
}

export const defaultGateLimits: GateLimits = {
  bytesMax: networkBounds.heldBytesMax,
  framesMax: networkBounds.heldFramesMax,
  nearlyFullShare: networkBounds.heldNearlyFullShare,
  resumeShare: networkBounds.heldResumeShare,
  reserveBytes: networkBounds.heldReserveBytes,
};

/**
 * The guest's output, of all its cards, behind the gate of `output-gate.ts`: keeps the frames,
 * and does what the gate says. One gate for all cards, since a checkpoint covers all of them.
 */
export class HeldOutput {
  readonly #options: HeldOutputOptions;
  readonly #limits: GateLimits;
  #state: GateState;
  /** Invariant: as many frames as the gate counts as held. */
  readonly #frames: HeldFrame[] = [];
  #heldBytes = 0;
  #releasedFrames = 0;
  #discardedFrames = 0;
  #fullTimes = 0;

  constructor(options: HeldOutputOptions) {
    this.#options = options;
    this.#limits = options.limits ?? defaultGateLimits;
    this.#state = initialGateState(options.mode);
  }

  get state(): GateState['name'] {
    return this.#state.name;
  }

  get counts(): HeldOutputCounts {
    return {
      heldFrames: this.#frames.length,
      heldBytes: this.#heldBytes,
      releasedFrames: this.#releasedFrames,
      discardedFrames: this.#discardedFrames,
      fullTimes: this.#fullTimes,
    };
  }

  /** The guest sent `frame`, of which a copy is kept. */
  frame(card: number, frame: Uint8Array): void {
    const bytes = frame.length + networkBounds.heldFrameOverheadBytes;
    this.#step({ kind: 'frame', bytes }, { card, frame });
  }

  /** Before the guest is stopped, or QEMU is asked anything: see `Cable` on who has to read. */
  pausing(): void {
    this.#step({ kind: 'pausing' });
  }

  resumed(): void {
    this.#step({ kind: 'resumed' });
  }

  /** While the guest stands still for the checkpoint of epoch `mark`; best just before it goes on. */
  barrier(mark: number): void {
    this.#step({ kind: 'barrier', mark });
  }

  /** The backup holds what `mark` stands for, of the session that is open now, and this term is ours. */
  acknowledged(mark: number, isSure?: IsSure): void {
    this.#step({ kind: 'acknowledged', mark }, undefined, isSure);
  }

  /** What is held waits for an epoch of the next session. */
  sessionEnded(): void {
    this.#step({ kind: 'session-ended' });
  }

  /**
   * Before the checkpoint whose acknowledgement lets the record of a protected term be created:
   * what passed after that checkpoint would not be covered by what the backup holds.
   */
  hold(): void {
    this.#step({ kind: 'hold' });
  }

  /** The term was won as `solo`. */
  releaseAll(): void {
    this.#step({ kind: 'release-all' });
  }

  /** Another holds a higher term. For good. */
  drop(): void {
    this.#step({ kind: 'drop' });
  }

  #step(event: GateEvent, held?: HeldFrame, isSure: IsSure = always): void {
    const { state, effects } = stepOutputGate(this.#state, event, this.#options.mode, this.#limits);
    this.#state = state;
    for (const effect of effects) this.#execute(effect, held, isSure);
  }

  #execute(effect: GateEffect, held: HeldFrame | undefined, isSure: IsSure): void {
    switch (effect.kind) {
      case 'keep-frame': {
        // A view of a socket's whole piece would keep all of it.
        const frame = Uint8Array.from(held!.frame);
        this.#frames.push({ card: held!.card, frame });
        this.#heldBytes += frame.length;
        this.#options.onHeld?.();
        return;
      }
      case 'pass-frame':
        this.#releasedFrames++;
        this.#options.release(held!.card, held!.frame);
        return;
      case 'discard-frame':
        this.#discardedFrames++;
        return;
      case 'release':
        for (const { card, frame } of this.#take(effect.frames)) {
          // The process may have been stopped between two of them, or before the first.
          if (!isSure()) {
            this.#discardedFrames++;
            continue;
          }
          this.#releasedFrames++;
          this.#options.release(card, frame);
        }
        return;
      case 'discard-held':
        this.#discardedFrames += this.#take(effect.frames).length;
        return;
      case 'checkpoint-now':
        this.#options.clock.soon(this.#options.onCheckpointWanted);
        return;
      case 'stop-reading':
        this.#fullTimes++;
        this.#options.onReading(false);
        return;
      case 'start-reading':
        this.#options.onReading(true);
        return;
    }
  }

  /** The oldest `count` frames, which are held no more. */
  #take(count: number): readonly HeldFrame[] {
    const taken = this.#frames.splice(0, count);
    if (taken.length !== count) throw new Error(`${taken.length} frames held of ${count}`);
    for (const { frame } of taken) this.#heldBytes -= frame.length;
    return taken;
  }
}

const always: IsSure = () => true;

interface HeldFrame {
  readonly card: number;
  readonly frame: Uint8Array;
}
