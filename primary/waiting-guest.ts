import type {
  DirectIoMark,
  FoundGuest,
  Guest,
  GuestDescription,
  GuestEvent,
} from '../shared/guest/guest.ts';
import type { GuestName } from '../shared/ids.ts';
import type { GuestMemory } from '../shared/memory/guest-memory.ts';

/**
 * The same guest, which can be made to stand still for longer than a checkpoint: until `goOn`,
 * checkpoints find it stopped and leave it so.
 */
export class WaitingGuest implements Guest {
  readonly #guest: Guest;
  #waits = false;
  /** Between `pause` and `resume`: it must not run, whatever else is wanted. */
  #isPaused: boolean;
  #hasRun: boolean;

  /** One that was just started, or left paused by an agent that died, waits for the right to run. */
  constructor(guest: Guest, found: FoundGuest) {
    this.#guest = guest;
    this.#isPaused = found === 'new' || found === 'paused';
    this.#hasRun = found !== 'new';
  }

  /** False for a guest that was started by us and has not been let run yet. */
  get hasRun(): boolean {
    return this.#hasRun;
  }

  /** It may run: one that was held, waits, or was paused to be handed over, goes on. */
  async letRun(): Promise<void> {
    await this.goOn();
    if (this.#isPaused) await this.resume();
  }

  get name(): GuestName {
    return this.#guest.name;
  }

  get description(): GuestDescription {
    return this.#guest.description;
  }

  get instance(): string {
    return this.#guest.instance;
  }

  get memory(): GuestMemory {
    return this.#guest.memory;
  }

  /** It stands still once this resolves. */
  async wait(): Promise<void> {
    if (this.#waits) return;
    this.#waits = true;
    if (!this.#isPaused) await this.#guest.pause();
  }

  /** It runs again, at once or at the end of the pause that is under way. */
  async goOn(): Promise<void> {
    if (!this.#waits) return;
    this.#waits = false;
    if (!this.#isPaused) await this.#guest.resume();
  }

  async pause(): Promise<void> {
    this.#isPaused = true;
    if (!this.#waits) await this.#guest.pause();
  }

  async resume(): Promise<void> {
    this.#isPaused = false;
    this.#hasRun = true;
    if (!this.#waits) await this.#guest.resume();
  }

  saveDeviceState(): Promise<Uint8Array> {
    return this.#guest.saveDeviceState();
  }

  saveBaseline(): Promise<Uint8Array> {
    return this.#guest.saveBaseline();
  }

  directIoMark(): Promise<DirectIoMark> {
    return this.#guest.directIoMark();
  }

  onEvent(listener: (event: GuestEvent) => void): () => void {
    return this.#guest.onEvent(listener);
  }

  detach(): Promise<void> {
    return this.#guest.detach();
  }
}
