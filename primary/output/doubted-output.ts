import type { AlarmClock } from '../../shared/clock.ts';
import { type Epoch, epoch } from '../../shared/ids.ts';
import type { GuestOutput, IsSure } from '../parts.ts';

/** Half of the shortest sensible heartbeat limit: sooner nobody can have taken over. */
const standstillMs = 100;

export interface DoubtedOutputParts {
  readonly output: GuestOutput;
  readonly clock: AlarmClock;
  /** Reads the record. True if no other host holds a higher term; where one does, acts on it. */
  look(): Promise<boolean>;
}

/**
 * The guest's output in a process that may stand still (SIGSTOP, a host that is suspended): it may
 * have been passed by meanwhile, and what it then finds in its sockets may be older than that. An
 * acknowledgement among it is true, but who acts on it speaks after the copy that runs on has spoken.
 * So after a standstill nothing is released until the record was read, or the backup acknowledged
 * an epoch that was captured since: whoever takes over acknowledges nothing more. What was being
 * released when it stood still is dropped.
 *
 * It narrows what is seen of an old copy; that nothing false is said does not rest on it, nor on
 * this clock.
 */
export class DoubtedOutput implements GuestOutput {
  readonly #parts: DoubtedOutputParts;
  #lastMs = 0;
  #lastBarrier = epoch(0);
  /** `since`: the last epoch captured before the standstill. `acked` waits to be acted upon. */
  #doubt: { readonly since: Epoch; acked: Epoch | undefined } | undefined;

  constructor(parts: DoubtedOutputParts) {
    this.#parts = parts;
  }

  /** Looks for standstills from now on. Returns how to stop it. */
  watch(): () => void {
    const { clock } = this.#parts;
    this.#lastMs = clock.nowMs();
    return clock.every(standstillMs / 4, () => this.#notice());
  }

  /** False while what comes out of a socket may be older than a takeover. */
  readonly isStillSure: IsSure = () => {
    this.#notice();
    return this.#doubt === undefined;
  };

  acknowledged(epoch: Epoch): void {
    this.#notice();
    if (this.#doubt !== undefined && epoch > this.#doubt.since) this.#doubt = undefined;
    if (this.#doubt === undefined) this.#parts.output.acknowledged(epoch, this.isStillSure);
    else this.#doubt.acked = epoch;
  }

  barrier(epoch: Epoch): void {
    this.#lastBarrier = epoch;
    this.#parts.output.barrier(epoch);
  }

  hold(): void {
    this.#parts.output.hold();
  }

  sessionEnded(): void {
    if (this.#doubt !== undefined) this.#doubt.acked = undefined;
    this.#parts.output.sessionEnded();
  }

  releaseAll(): void {
    this.#doubt = undefined;
    this.#parts.output.releaseAll();
  }

  drop(): void {
    this.#doubt = undefined;
    this.#parts.output.drop();
  }

  #notice(): void {
    const nowMs = this.#parts.clock.nowMs();
    const stoodStill = nowMs - this.#lastMs > standstillMs;
    this.#lastMs = nowMs;
    if (!stoodStill) return;
    const doubt = { since: this.#lastBarrier, acked: this.#doubt?.acked };
    this.#doubt = doubt;
    void this.#settle(doubt);
  }

  async #settle(doubt: { readonly acked: Epoch | undefined }): Promise<void> {
    const isOurs = await this.#parts.look();
    // The answer, too, may have waited in a socket.
    this.#notice();
    if (!isOurs || this.#doubt !== doubt) return;
    this.#doubt = undefined;
    if (doubt.acked !== undefined) this.#parts.output.acknowledged(doubt.acked, this.isStillSure);
  }
}
