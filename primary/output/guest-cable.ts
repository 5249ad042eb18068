import { monotonicClock } from '../../shared/clock.ts';
import type { OutputSection } from '../../shared/config/schema.ts';
import type { UnderstudyError } from '../../shared/errors.ts';
import type { Epoch } from '../../shared/ids.ts';
import { type CableCard, GuestNetwork } from '../../shared/net/guest-network.ts';
import type { InputLogMessage } from '../../shared/wire/input-body.ts';
import type { GuestOutput, HandoverPort, IsSure } from '../parts.ts';
import { asInputLog, HandoverInput } from './handover-input.ts';
import { defaultGateLimits, HeldOutput } from './held-output.ts';
import { InputLogRule } from './input-log-rule.ts';
import type { OutputRule } from './output-rule.ts';
import type { PauseListener } from './readable-guest.ts';

export interface GuestCableOptions {
  readonly cards: readonly CableCard[];
  readonly output: OutputSection;
  /** Open already, and passing by right of a solo term: from the role that took the guest over. */
  readonly network: GuestNetwork | undefined;
  readonly onWarning: (error: UnderstudyError) => void;
  /** Much is held: a checkpoint before its time would let it out. */
  readonly onCheckpointWanted: () => void;
  /** The guest said something that waits for a checkpoint; told for every frame. */
  readonly onOutputWaits: () => void;
}

/**
 * The guest's way to the world where its cards are on cables: what it says waits as `output.rule` says,
 * what it is told reaches it once a term is ours. Output is held from the start, unless the guest
 * was just taken over: then the term of the takeover lets it pass.
 */
export class GuestCable implements GuestOutput, HandoverPort, PauseListener {
  readonly #network: GuestNetwork;
  readonly #handover: HandoverInput;
  readonly #rule: OutputRule;
  /** Where the rule is `input-log`: the agent connects it to the backup. */
  readonly inputLog: InputLogRule | undefined;
  #announced: boolean;

  private constructor(
    network: GuestNetwork,
    handover: HandoverInput,
    rule: HeldOutput | InputLogRule,
    announced: boolean,
  ) {
    this.#announced = announced;
    this.#handover = handover;
    this.#network = network;
    this.#rule = rule;
    this.inputLog = rule instanceof InputLogRule ? rule : undefined;
  }

  /** Throws `E_UPLINK_…`, `E_CABLE_UNREACHABLE`. */
  static async open(options: GuestCableOptions): Promise<GuestCable> {
    const { cards, output, onWarning, onCheckpointWanted } = options;
    // Network and rule know each other: frames come when both are there.
    const held = new HeldOutput({
      clock: monotonicClock,
      mode: output.rule === 'unsafe' ? 'unsafe' : 'commit',
      limits: { ...defaultGateLimits, bytesMax: output.bytesMax },
      release: (card, frame) => network.emit(card, frame),
      onCheckpointWanted,
      // By the rule `input-log` answers wait for the log, hardly ever for a checkpoint.
      ...(output.rule === 'commit' ? { onHeld: options.onOutputWaits } : {}),
      onReading: (reading) => network.setReading(reading),
    });
    const inputLog =
      output.rule === 'input-log'
        ? new InputLogRule({
            ...{ held, clock: monotonicClock, ...output.inputLog, onCheckpointWanted, onWarning },
            waitingBytes: () => network.waitingBytes,
          })
        : undefined;
    const rule = inputLog ?? held;
    const onOutput = (card: number, frame: Uint8Array) => rule.frame(card, frame);
    const tell = (card: number, frame: Uint8Array) => {
      if (inputLog?.takesInput === false) return;
      if (network.deliver(card, frame)) inputLog?.input(card, frame);
    };
    const handover = new HandoverInput(
      ({ card, frame }) => tell(card, frame),
      cards.map(({ mac }) => mac),
    );
    const onInput = (card: number, frame: Uint8Array) => {
      if (!handover.takes(card, frame)) tell(card, frame);
    };
    const network = options.network ?? (await GuestNetwork.open({ cards, onOutput, onWarning }));
    network.setInput(onInput);
    if (options.network !== undefined) {
      rule.releaseAll();
      network.setOutput(onOutput);
    }
    try {
      await network.ready();
    } catch (error) {
      await network.close();
      throw error;
    }
    return new GuestCable(network, handover, rule, options.network !== undefined);
  }

  hold(): void {
    this.#rule.hold();
  }

  pausing(): void {
    this.#rule.pausing();
    this.#handover.pausing();
  }

  barrier(epoch: Epoch): void {
    this.#rule.barrier(epoch);
  }

  resumed(): void {
    this.#rule.resumed();
    this.#handover.resumed();
  }

  begin(): void {
    this.#handover.begin();
  }

  forward(epoch: Epoch, send: (message: InputLogMessage) => void): void {
    const log = this.inputLog;
    // Where input is logged anyway this follows it, under its numbers.
    this.#handover.forward(
      log === undefined ? asInputLog(epoch, send) : ({ card, frame }) => log.input(card, frame),
    );
  }

  acknowledged(epoch: Epoch, isSure?: IsSure): void {
    this.#rule.acknowledged(epoch, isSure);
  }

  sessionEnded(): void {
    this.#rule.sessionEnded();
    this.#handover.ended();
  }

  releaseAll(): void {
    this.#rule.releaseAll();
    if (this.#announced) return;
    this.#announced = true;
    this.#network.letInput(true);
    // Bridges learn where the guest is now: it may have come from another host.
    this.#network.announce();
  }

  drop(): void {
    this.#rule.drop();
    this.#handover.dropped();
    this.#network.letInput(false);
  }

  async close(): Promise<void> {
    await this.#network.close();
  }
}
