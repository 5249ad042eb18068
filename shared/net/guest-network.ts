import { isUnderstudyError, type UnderstudyError } from '../errors.ts';
import { announce } from './announce.ts';
import { Cable, type CableCounts } from './cable.ts';
import { networkBounds } from './network-bounds.ts';
import { RewoundConnections } from './rewound-connections.ts';
import { openUplink } from './tap.ts';
import type { Uplink, UplinkConfig, UplinkCounts } from './uplink.ts';

/** A card of the guest that is on a cable. */
export interface CableCard {
  /** Its number among all cards of the guest. */
  readonly card: number;
  readonly mac: string;
  /** Where its QEMU listens. */
  readonly path: string;
  readonly uplink: UplinkConfig;
}

export interface GuestNetworkOptions {
  readonly cards: readonly CableCard[];
  /** The guest sent a frame: a view. Whether and when it leaves is the caller's to say. */
  readonly onOutput: (card: number, frame: Uint8Array) => void;
  /** What an operator should know; each change once. */
  readonly onWarning: (error: UnderstudyError) => void;
}

/**
 * All cables of one guest on one host, and their uplinks. Input goes from the uplink into the
 * cable by itself; output goes to the caller, and to the uplink only by `emit`.
 *
 * A backup can open it before there is anything to run: the TAPs are then on their bridges and
 * silent, and a takeover has only to let input in, to emit, and to announce.
 */
export class GuestNetwork {
  readonly #options: GuestNetworkOptions;
  #onOutput: GuestNetworkOptions['onOutput'];
  #onInput: (card: number, frame: Uint8Array) => void;
  readonly #lines = new Map<number, Line>();
  #letsInput = false;
  #isAnnounced = false;
  #stopAnnouncing = () => {};
  #rewound: RewoundConnections | undefined;
  #rewoundEnds: NodeJS.Timeout | undefined;

  /**
   * Resolves when every uplink is open; the cables connect when QEMU listens. A bridge that is not
   * there is warned of and waited for; else throws as `openUplink`.
   */
  static async open(options: GuestNetworkOptions): Promise<GuestNetwork> {
    const network = new GuestNetwork(options);
    try {
      for (const card of options.cards) await network.#open(card);
    } catch (error) {
      await network.close();
      throw error;
    }
    return network;
  }

  private constructor(options: GuestNetworkOptions) {
    this.#options = options;
    this.#onOutput = options.onOutput;
    this.#onInput = (card, frame) => this.deliver(card, frame);
  }

  /** Resolves when every cable is connected. Throws `E_CABLE_UNREACHABLE`. */
  async ready(timeoutMs?: number): Promise<void> {
    await Promise.all([...this.#lines.values()].map(({ cable }) => cable.ready(timeoutMs)));
  }

  /** Whether frames from outside reach the guest. Not at first: a standby must not collect them. */
  letInput(lets: boolean): void {
    this.#letsInput = lets;
  }

  /** What the guest sends goes here from now on: another role has taken the guest over. */
  setOutput(onOutput: GuestNetworkOptions['onOutput']): void {
    this.#onOutput = onOutput;
  }

  /** What comes for the guest goes here from now on, as a view, and not to the guest at once. */
  setInput(onInput: (card: number, frame: Uint8Array) => void): void {
    this.#onInput = onInput;
  }

  /** A frame of the guest leaves the host. Without effect while the uplink is out. */
  emit(card: number, frame: Uint8Array): void {
    this.#lines.get(card)!.uplink?.send(frame);
  }

  /** The guest is told `frame`. False where it was dropped, as a network may. */
  deliver(card: number, frame: Uint8Array): boolean {
    const told = this.#rewound?.told(frame) ?? frame;
    return this.#lines.get(card)?.cable.send(told) ?? false;
  }

  /**
   * The guest was set back to before what clients have heard: from now on, for a while, its TCP is
   * told of no more than it has sent. `toldBefore`: frames that it was told before that point.
   */
  rewind(toldBefore: readonly Uint8Array[]): void {
    this.#rewound = new RewoundConnections(toldBefore);
    clearTimeout(this.#rewoundEnds);
    const end = () => {
      this.#rewound = undefined;
    };
    this.#rewoundEnds = setTimeout(end, networkBounds.rewoundMs).unref();
  }

  /** Input that was delivered and that no QEMU can have read yet, of all cards. */
  get waitingBytes(): number {
    let bytes = 0;
    for (const { cable } of this.#lines.values()) bytes += cable.waitingBytes;
    return bytes;
  }

  /** Whether what the guest sends is read: see `Cable` on what happens if not. */
  setReading(reads: boolean): void {
    for (const { cable } of this.#lines.values()) {
      if (reads) cable.startReading();
      else cable.stopReading();
    }
  }

  /** Tells the network that the guest is here now. Only for who may run it. */
  announce(): void {
    this.#isAnnounced = true;
    this.#stopAnnouncing();
    const stops = [...this.#lines.values()].map(({ config }) =>
      announce(config.mac, (frame) => this.emit(config.card, frame)),
    );
    this.#stopAnnouncing = () => {
      for (const stop of stops) stop();
    };
  }

  /** By card: what its cable and its uplink have carried. */
  counts(): Map<
    number,
    { readonly cable: CableCounts; readonly uplink: UplinkCounts | undefined }
  > {
    return new Map(
      [...this.#lines].map(([card, { cable, uplink }]) => [
        card,
        { cable: cable.counts, uplink: uplink?.counts },
      ]),
    );
  }

  /** Pulls every cable and gives up every uplink. Nothing is called any more once it resolves. */
  async close(): Promise<void> {
    this.#stopAnnouncing();
    clearTimeout(this.#rewoundEnds);
    const lines = [...this.#lines.values()];
    this.#lines.clear();
    for (const line of lines) line.isClosed = true;
    for (const { cable, uplink, retry } of lines) {
      clearTimeout(retry);
      await cable.close();
      await uplink?.close();
    }
  }

  async #open(config: CableCard): Promise<void> {
    const { onWarning } = this.#options;
    const cable = new Cable({
      path: config.path,
      onFrame: (frame) => {
        this.#rewound?.said(frame);
        this.#onOutput(config.card, frame);
      },
      onDisconnected: (error) => {
        if (error !== undefined) onWarning(error);
      },
    });
    const line: Line = {
      config,
      cable,
      uplink: undefined,
      retry: undefined,
      told: undefined,
      isClosed: false,
    };
    this.#lines.set(config.card, line);
    try {
      await this.#openUplink(line);
    } catch (error) {
      // A bridge may come later, and the guest is protected all the same.
      if (!isUnderstudyError(error, 'E_UPLINK_BRIDGE')) throw error;
      onWarning(error);
      line.told = error.code;
      this.#reopenLater(line);
    }
  }

  async #openUplink(line: Line): Promise<void> {
    let isGone = false;
    const uplink = await openUplink(line.config.uplink, {
      onFrame: (frame) => {
        if (this.#letsInput) this.#onInput(line.config.card, frame);
      },
      onWarning: this.#options.onWarning,
      onGone: (error) => {
        this.#options.onWarning(error);
        isGone = true;
        this.#reopenLater(line);
      },
    });
    // Closed, or gone, while it was being opened.
    if (line.isClosed || isGone) {
      await uplink.close();
      return;
    }
    line.uplink = uplink;
    line.told = undefined;
  }

  /** Somebody removed the interface: it is made anew as soon as that works. */
  #reopenLater(line: Line): void {
    const gone = line.uplink;
    line.uplink = undefined;
    line.retry = setTimeout(async () => {
      await gone?.close();
      if (line.isClosed) return;
      try {
        await this.#openUplink(line);
        // Bridges and clients have forgotten where the guest is, or never knew.
        if (this.#isAnnounced) this.announce();
      } catch (error) {
        if (!isUnderstudyError(error)) throw error;
        if (line.told !== error.code) this.#options.onWarning(error);
        line.told = error.code;
        this.#reopenLater(line);
      }
    }, networkBounds.uplinkRetryMs);
  }
}

interface Line {
  readonly config: CableCard;
  readonly cable: Cable;
  uplink: Uplink | undefined;
  retry: NodeJS.Timeout | undefined;
  /** Code of why there is no uplink, once it was told. */
  told: string | undefined;
  isClosed: boolean;
}
