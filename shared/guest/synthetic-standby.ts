import { UnderstudyError } from '../errors.ts';
import { pageBytes } from '../ids.ts';
import type { GuestMemory } from '../memory/guest-memory.ts';
import type { Guest, GuestDescription, Standby } from './guest.ts';
import { type ResumedGuest, SyntheticGuest } from './synthetic-guest.ts';
import { SyntheticMemory } from './synthetic-memory.ts';
import { decodeBaseline, decodeDeviceState, type SyntheticBaseline } from './synthetic-state.ts';

/**
 * The other half of a synthetic guest, on the backup: given RAM, baseline and device state it
 * goes on exactly as the original would have. It notices RAM and device state of two epochs.
 */
export class SyntheticStandby implements Standby {
  readonly description: GuestDescription;
  readonly #memory: GuestMemory;
  readonly #listeners = new Set<(reason: string) => void>();
  #loaded: { baseline: SyntheticBaseline; resumed: ResumedGuest } | undefined;
  #gone: string | undefined;

  /** `memory` is where the backup applies epochs: any memory will do. */
  constructor(description: GuestDescription, memory: GuestMemory) {
    this.description = description;
    this.#memory = memory;
  }

  /** Throws `E_SYNTHETIC_STATE` for bytes that are not a state, or not of this RAM. */
  async load(baseline: Uint8Array, deviceState: Uint8Array): Promise<void> {
    this.#checkHere();
    const decoded = decodeBaseline(baseline);
    const state = decodeDeviceState(deviceState);
    if (decoded.memoryBytes !== this.description.memoryBytes) {
      throw mismatch('the baseline is of a guest with another memory size');
    }
    if (state.workloads.length !== decoded.workloads.length + 1) {
      throw mismatch('the device state is of a guest with other workloads');
    }
    const memory = asSyntheticMemory(this.#memory);
    const counter = memory.read32(0, 0) + memory.read32(0, 4) * 0x1_0000_0000;
    if (counter !== state.counter || memory.read32(0, 8) !== state.checksum) {
      throw mismatch(`RAM is at write ${counter}, the device state at ${state.counter}`);
    }
    this.#loaded = { baseline: decoded, resumed: { memory, state } };
  }

  async resume(): Promise<Guest> {
    return this.resumeSynthetic();
  }

  /** As `resume`, with what only a synthetic guest can do. */
  resumeSynthetic(): SyntheticGuest {
    this.#checkHere();
    if (this.#loaded === undefined) throw new Error('a standby was resumed before it was loaded');
    return new SyntheticGuest(this.#loaded.baseline, this.#loaded.resumed);
  }

  async discard(): Promise<void> {
    this.#gone ??= 'discarded';
    this.#listeners.clear();
  }

  onGone(listener: (reason: string) => void): void {
    this.#listeners.add(listener);
  }

  /** Fault: the standby ends before it was resumed. */
  vanish(reason: string): void {
    this.#gone = reason;
    setImmediate(() => {
      for (const listener of this.#listeners) listener(reason);
    });
  }

  #checkHere(): void {
    if (this.#gone === undefined) return;
    throw new UnderstudyError('E_STANDBY_GONE', `the synthetic standby is gone: ${this.#gone}`, {
      hint: 'Make another one.',
    });
  }
}

/** The same memory, or a copy of it in this process. */
function asSyntheticMemory(memory: GuestMemory): SyntheticMemory {
  if (memory instanceof SyntheticMemory) return memory;
  const copy = new SyntheticMemory(memory.pageCount * pageBytes);
  const chunk = new Uint8Array(256 * pageBytes);
  const pages = new Uint32Array(256);
  let run = memory.nextData(0);
  while (run !== undefined) {
    for (let first = run.first; first < run.end; first += 256) {
      const count = Math.min(256, run.end - first);
      memory.readRange(first, count, chunk, 0);
      for (let i = 0; i < count; i++) pages[i] = first + i;
      copy.writePages(pages, count, chunk, 0);
    }
    run = memory.nextData(run.end);
  }
  return copy;
}

function mismatch(why: string): UnderstudyError {
  return new UnderstudyError('E_SYNTHETIC_STATE', `the standby can't go on: ${why}`, {
    hint: 'RAM, baseline and device state must be of one guest and one epoch.',
  });
}
