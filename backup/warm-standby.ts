import { type AlarmClock, sleep } from '../shared/clock.ts';
import { UnderstudyError } from '../shared/errors.ts';
import type { GuestDescription, Standby } from '../shared/guest/guest.ts';
import type { EmitEvent } from '../shared/observe/events.ts';

/** A standby that knows its process. */
export type StandbyProcess = Standby & { readonly pid: number };

/** A standby that ends this often within a minute is not started again by itself. */
const restartsMax = 5;
const restartsWithinMs = 60_000;
const restartDelayMs = 500;

/** Keeps one standby ready: one that ends before it is needed is replaced. */
export class WarmStandby {
  readonly description: GuestDescription;
  readonly #start: () => Promise<StandbyProcess>;
  readonly #clock: AlarmClock;
  readonly #emit: EmitEvent;
  readonly #endedAtMs: number[] = [];
  #current: Promise<StandbyProcess>;
  #taken = false;

  private constructor(
    first: StandbyProcess,
    start: () => Promise<StandbyProcess>,
    clock: AlarmClock,
    emit: EmitEvent,
  ) {
    this.description = first.description;
    this.#start = start;
    this.#clock = clock;
    this.#emit = emit;
    this.#current = Promise.resolve(first);
    this.#watch(first);
  }

  static async start(
    start: () => Promise<StandbyProcess>,
    clock: AlarmClock,
    emit: EmitEvent,
  ): Promise<WarmStandby> {
    const startedAtMs = clock.nowMs();
    const first = await start();
    emit({ kind: 'standby', pid: first.pid, readyMs: clock.nowMs() - startedAtMs });
    return new WarmStandby(first, start, clock, emit);
  }

  /** The standby, to be resumed: from now on it is the caller's. Throws what its start threw. */
  async take(): Promise<StandbyProcess> {
    this.#taken = true;
    return await this.#current;
  }

  /** Resolves when one is there. Throws what its start threw. */
  async ready(): Promise<void> {
    await this.#current;
  }

  /** Another one, after the one that was taken turned out not to be needed, or of no use. */
  renew(): void {
    this.#taken = false;
    this.#become(this.#startAgain());
  }

  /** Ends a standby that was not taken. */
  async discard(): Promise<void> {
    if (this.#taken) return;
    this.#taken = true;
    const standby = await this.#current.catch(() => undefined);
    await standby?.discard();
  }

  #watch(standby: StandbyProcess): void {
    standby.onGone((reason) => {
      if (this.#taken) return;
      this.#become(this.#replace(reason));
    });
  }

  #become(next: Promise<StandbyProcess>): void {
    this.#current = next;
    next.catch((error: unknown) => {
      const known = error instanceof UnderstudyError;
      const code = known ? error.code : 'E_STANDBY_GONE';
      const message = error instanceof Error ? error.message : String(error);
      const hint = known ? error.hint : 'Restart the backup agent.';
      this.#emit({ kind: 'error', code, message, hint });
    });
  }

  async #replace(reason: string): Promise<StandbyProcess> {
    const nowMs = this.#clock.nowMs();
    this.#endedAtMs.push(nowMs);
    const lately = this.#endedAtMs.filter((at) => nowMs - at < restartsWithinMs).length;
    const message = `the standby's QEMU ended: ${reason}`;
    if (lately > restartsMax) {
      throw new UnderstudyError('E_STANDBY_GONE', `${message} (${lately} times in a minute)`, {
        hint: 'A takeover is not possible now. See its log in the run folder; restart the backup.',
      });
    }
    const hint = 'It is started again; see its log in the run folder.';
    this.#emit({ kind: 'warning', code: 'E_STANDBY_GONE', message, hint });
    await sleep(this.#clock, restartDelayMs);
    return await this.#startAgain();
  }

  async #startAgain(): Promise<StandbyProcess> {
    const startedAtMs = this.#clock.nowMs();
    const standby = await this.#start();
    this.#emit({ kind: 'standby', pid: standby.pid, readyMs: this.#clock.nowMs() - startedAtMs });
    this.#watch(standby);
    return standby;
  }
}
