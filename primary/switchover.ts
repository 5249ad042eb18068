import { bounds } from '../shared/bounds.ts';
import type { AlarmClock } from '../shared/clock.ts';
import type { KnownRam } from '../shared/codec/known-ram.ts';
import { isUnderstudyError, UnderstudyError } from '../shared/errors.ts';
import type { Epoch, SessionId } from '../shared/ids.ts';
import type { About, ControlChannel } from '../shared/transport/control-channel.ts';
import type { PrimaryEvent, PrimaryState } from './machine.ts';
import type { Session } from './session/session.ts';

export interface SwitchoverParts {
  readonly control: ControlChannel;
  readonly clock: AlarmClock;
  post(event: PrimaryEvent): void;
  /** Reads the record and acts on it; true where no other host holds the highest term. */
  lookForHigher(): Promise<boolean>;
}

/**
 * A planned switchover, as the operator sees it: asked for, then done, refused or rolled back.
 * The protocol itself is in `machine.ts`; here are its questions to the backup and its deadline.
 */
export class Switchover {
  readonly #parts: SwitchoverParts;
  #wanted: { resolve(): void; reject(error: UnderstudyError): void } | undefined;
  #callOffDeadline: (() => void) | undefined;
  #callOffLook: (() => void) | undefined;
  /** The last checkpoint, while the guest can't have run since. */
  #left: { readonly session: Session; readonly ram: KnownRam } | undefined;

  constructor(parts: SwitchoverParts) {
    this.#parts = parts;
  }

  /**
   * Resolves when the guest runs on the other host. Throws `E_SWITCHOVER_REFUSED` where nothing was
   * done, `E_SWITCHOVER_ROLLED_BACK` where the guest was paused for a moment and a term is being
   * sought to go on here.
   */
  async run(state: PrimaryState, about: About | undefined): Promise<void> {
    if (this.#wanted !== undefined) throw refused('one is under way already');
    if (state.name !== 'protected' || about === undefined) {
      const isPaused = state.name === 'paused';
      throw refused(isPaused ? 'it is paused: resume it' : `it is not protected (${state.name})`);
    }
    const over = new Promise<void>((resolve, reject) => {
      this.#wanted = { resolve, reject };
    });
    over.catch(() => {});
    try {
      const request = { kind: 'switchover-request' } as const;
      const { switchoverReadyMs } = bounds;
      await this.#parts.control.ask(about, request, ['switchover-ready'], switchoverReadyMs);
      // Where the session has ended meanwhile, what the backup said means nothing any more.
      if (this.#wanted !== undefined) this.#parts.post({ kind: 'switchover' });
      await over;
    } catch (error) {
      if (!isUnderstudyError(error) || error.code.startsWith('E_SWITCHOVER_')) throw error;
      throw refused(error.message, error);
    } finally {
      this.#wanted = undefined;
    }
  }

  /** The guest is about to be paused for the last time: from here on there is a deadline. */
  begun(session: SessionId): void {
    this.#callOffDeadline = this.#parts.clock.after(bounds.handoverMs, () => {
      const cause = `the backup did not go on within ${bounds.handoverMs} ms`;
      this.#parts.post({ kind: 'handover-failed', session, cause });
    });
  }

  /** The last checkpoint was taken, by this session: the guest stands still, with this RAM. */
  stands(session: Session, ram: KnownRam): void {
    this.#left = { session, ram };
  }

  /**
   * RAM as the backup has gone on from it, if it did: this host holds it, as long as the guest has
   * not run here. To be asked when nothing can write to it any more.
   */
  ramAsLeft(): KnownRam | undefined {
    try {
      return this.#left?.session.isUntouched() === true ? this.#left.ram : undefined;
    } catch (error) {
      // QEMU has ended meanwhile: what it wrote last can't be known any more.
      if (!isUnderstudyError(error)) throw error;
      return undefined;
    }
  }

  /** Asks the backup to go on from `epoch`. Whatever it answers, a term decides. */
  handOver(about: About, epoch: Epoch): void {
    const { session } = about;
    const request = { kind: 'hand-over', epoch } as const;
    this.#lookLater();
    this.#parts.control.ask(about, request, ['handed-over'], bounds.handoverMs).then(
      () => this.#parts.lookForHigher(),
      (error: unknown) => {
        const cause = error instanceof Error ? error.message : String(error);
        this.#parts.post({ kind: 'handover-failed', session, cause });
      },
    );
  }

  /**
   * The answer may be lost, or late: what it would say is in the record before it is sent. One look
   * at a time, until this side learns what becomes of the guest.
   */
  #lookLater(): void {
    const callOff = this.#parts.clock.after(bounds.handoverLookMs, async () => {
      const isOurs = await this.#parts.lookForHigher();
      if (isOurs && this.#callOffLook === callOff) this.#lookLater();
    });
    this.#callOffLook = callOff;
  }

  /** The machine went from one state to another, because of `cause`. */
  moved(from: PrimaryState, to: PrimaryState, cause: string): void {
    if (to.name === 'protected' || to.name === 'handing-over') return;
    // It runs again by a term of ours, or is synchronised anew.
    if (to.name !== 'claiming' && to.name !== 'stopped') this.#left = undefined;
    this.#callOffDeadline?.();
    this.#callOffLook?.();
    this.#callOffLook = undefined;
    const wanted = this.#wanted;
    this.#wanted = undefined;
    if (to.name === 'stopped' && to.outcome.kind === 'superseded') wanted?.resolve();
    else if (from.name === 'handing-over') wanted?.reject(rolledBack(cause));
    else wanted?.reject(refused(cause));
  }
}

function refused(why: string, cause?: unknown): UnderstudyError {
  return new UnderstudyError('E_SWITCHOVER_REFUSED', `no switchover: ${why}`, {
    hint: 'The guest runs where it was. Try again when `understudy status` says protected.',
    cause,
  });
}

function rolledBack(why: string): UnderstudyError {
  return new UnderstudyError('E_SWITCHOVER_ROLLED_BACK', `the switchover was given up: ${why}`, {
    hint: "The guest goes on where it was, unless the backup's claim came first: see `understudy status`.",
  });
}
