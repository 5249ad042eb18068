import type { AlarmClock } from '../shared/clock.ts';
import type { UnderstudyError } from '../shared/errors.ts';
import { type CableCard, GuestNetwork } from '../shared/net/guest-network.ts';
import type { EmitEvent } from '../shared/observe/events.ts';
import type { InputFrame } from '../shared/wire/input-body.ts';
import { replayInput } from './input/input-replay.ts';

export interface StandbyNetworkOptions {
  /** None where the guest's cards are not on cables. */
  readonly cards: readonly CableCard[];
  readonly clock: AlarmClock;
  readonly emit: EmitEvent;
  readonly onWarning: (error: UnderstudyError) => void;
}

/**
 * The guest's cables and uplinks where it stands by: all there, and silent both ways. Whatever
 * of this was left to the takeover, clients would wait for, and TCP doubles what it waits.
 */
export class StandbyNetwork {
  readonly #options: StandbyNetworkOptions;
  readonly #network: GuestNetwork;
  readonly #right: { mayRun: boolean };
  #handedOn = false;
  #replayed: Promise<void> = Promise.resolve();

  /** Throws as `GuestNetwork.open`: a backup that could never be reached would be none. */
  static async open(options: StandbyNetworkOptions): Promise<StandbyNetwork> {
    const right = { mayRun: false };
    const network = await GuestNetwork.open({
      cards: options.cards,
      onWarning: options.onWarning,
      // A standby announces itself when it loads a guest: that is its own matter until it may run.
      onOutput: (card, frame) => {
        if (right.mayRun) network.emit(card, frame);
      },
    });
    return new StandbyNetwork(options, network, right);
  }

  private constructor(
    options: StandbyNetworkOptions,
    network: GuestNetwork,
    right: { mayRun: boolean },
  ) {
    this.#options = options;
    this.#network = network;
    this.#right = right;
  }

  /**
   * The term is ours, alone: what the guest says goes out, and the network is told where it is.
   * Frames for it wait in its cable until it runs, so that this may be done before. `replay` is what
   * it was told before and may not know: it comes before anything new. `toldBefore`: clients may have
   * heard more than the guest knows to have said (`RewoundConnections`). Called again for another
   * standby, where the first one failed with what was in its cable.
   */
  connect(replay: readonly InputFrame[], toldBefore?: number): void {
    this.#right.mayRun = true;
    this.#network.announce();
    if (replay.length === 0) {
      this.#network.letInput(true);
      return;
    }
    this.#network.letInput(false);
    if (toldBefore !== undefined) {
      this.#network.rewind(replay.slice(0, toldBefore).map(({ frame }) => frame));
    }
    const { clock, emit } = this.#options;
    const replayed = this.#replayed.then(() => replayInput(replay, this.#deliver, clock, emit));
    this.#replayed = replayed;
    replayed.then(() => {
      if (this.#replayed === replayed) this.#network.letInput(true);
    });
  }

  /** What still came for the guest to the host that it leaves: after `replay`, as far as it fits. */
  tell(frames: readonly InputFrame[]): void {
    void this.#replayed.then(() => {
      for (const { card, frame } of frames) this.#deliver(card, frame);
    });
  }

  /** The network, as it is, for the role that goes on with the guest: theirs to close. */
  handOn(): GuestNetwork {
    this.#handedOn = true;
    return this.#network;
  }

  async close(): Promise<void> {
    if (!this.#handedOn) await this.#network.close();
  }

  readonly #deliver = (card: number, frame: Uint8Array) => this.#network.deliver(card, frame);
}
