import type { UnderstudyError } from '../shared/errors.ts';
import { type CableCard, GuestNetwork } from '../shared/net/guest-network.ts';

export interface StandbyNetworkOptions {
  /** None where the guest's cards are not on cables. */
  readonly cards: readonly CableCard[];
  readonly onWarning: (error: UnderstudyError) => void;
}

/**
 * The guest's cables and uplinks where it stands by: all there, and silent both ways. Whatever
 * of this was left to the takeover, clients would wait for, and TCP doubles what it waits.
 */
export class StandbyNetwork {
  readonly #network: GuestNetwork;
  readonly #right: { mayRun: boolean };
  #handedOn = false;

  /** Throws `E_UPLINK_…`: a backup that could not be reached would be none. */
  static async open(options: StandbyNetworkOptions): Promise<StandbyNetwork> {
    const right = { mayRun: false };
    const network = await GuestNetwork.open({
      ...options,
      // A standby announces itself when it loads a guest: that is its own matter until it may run.
      onOutput: (card, frame) => {
        if (right.mayRun) network.emit(card, frame);
      },
    });
    return new StandbyNetwork(network, right);
  }

  private constructor(network: GuestNetwork, right: { mayRun: boolean }) {
    this.#network = network;
    this.#right = right;
  }

  /**
   * The term is ours, alone: what the guest says goes out, and the network is told where it is.
   * Frames for it wait in its cable until it runs, so that this may be done before.
   */
  connect(): void {
    this.#right.mayRun = true;
    this.#network.letInput(true);
    this.#network.announce();
  }

  /** The network, as it is, for the role that goes on with the guest: theirs to close. */
  handOn(): GuestNetwork {
    this.#handedOn = true;
    return this.#network;
  }

  async close(): Promise<void> {
    if (!this.#handedOn) await this.#network.close();
  }
}
