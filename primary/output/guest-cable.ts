import { monotonicClock } from '../../shared/clock.ts';
import type { UnderstudyError } from '../../shared/errors.ts';
import type { Epoch } from '../../shared/ids.ts';
import { type CableCard, GuestNetwork } from '../../shared/net/guest-network.ts';
import type { GuestOutput } from '../parts.ts';
import { defaultGateLimits, HeldOutput } from './held-output.ts';
import type { GateMode } from './output-gate.ts';
import type { PauseListener } from './readable-guest.ts';

export interface GuestCableOptions {
  readonly cards: readonly CableCard[];
  readonly mode: GateMode;
  /** Output held at most, in bytes. */
  readonly bytesMax: number;
  /** Open already, and passing by right of a solo term: from the role that took the guest over. */
  readonly network: GuestNetwork | undefined;
  readonly onWarning: (error: UnderstudyError) => void;
  /** Much is held: a checkpoint before its time would let it out. */
  readonly onCheckpointWanted: () => void;
}

/**
 * The guest's way to the world where its cards are on cables: what it says waits in `HeldOutput`,
 * what it is told reaches it once a term is ours. Output is held from the start, unless the guest
 * was just taken over: then the term of the takeover lets it pass.
 */
export class GuestCable implements GuestOutput, PauseListener {
  readonly #network: GuestNetwork;
  readonly #held: HeldOutput;
  #announced: boolean;

  private constructor(network: GuestNetwork, held: HeldOutput, announced: boolean) {
    this.#network = network;
    this.#held = held;
    this.#announced = announced;
  }

  /** Throws `E_UPLINK_…`, `E_CABLE_UNREACHABLE`. */
  static async open(options: GuestCableOptions): Promise<GuestCable> {
    const { cards, mode, bytesMax, onWarning, onCheckpointWanted } = options;
    // The two know each other: frames come when both are there.
    const held = new HeldOutput({
      clock: monotonicClock,
      mode,
      limits: { ...defaultGateLimits, bytesMax },
      release: (card, frame) => network.emit(card, frame),
      onCheckpointWanted,
      onReading: (reading) => network.setReading(reading),
    });
    const onOutput = (card: number, frame: Uint8Array) => held.frame(card, frame);
    const network = options.network ?? (await GuestNetwork.open({ cards, onOutput, onWarning }));
    if (options.network !== undefined) {
      held.releaseAll();
      network.setOutput(onOutput);
    }
    try {
      await network.ready();
    } catch (error) {
      await network.close();
      throw error;
    }
    return new GuestCable(network, held, options.network !== undefined);
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
    this.#network.letInput(true);
    // Bridges learn where the guest is now: it may have come from another host.
    if (!this.#announced) this.#network.announce();
    this.#announced = true;
  }

  drop(): void {
    this.#held.drop();
    this.#network.letInput(false);
  }

  async close(): Promise<void> {
    await this.#network.close();
  }
}
