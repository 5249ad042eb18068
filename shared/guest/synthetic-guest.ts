import { UnderstudyError } from '../errors.ts';
import type { GuestName } from '../ids.ts';
import type { PageSet } from '../page-set.ts';
import { Random } from '../random.ts';
import type { Guest, GuestDescription, GuestEvent } from './guest.ts';
import { SyntheticMemory } from './synthetic-memory.ts';
import { SyntheticProcess } from './synthetic-process.ts';
import {
  encodeBaseline,
  encodeDeviceState,
  type SyntheticDeviceState,
  type WorkloadSpec,
} from './synthetic-state.ts';

export interface SyntheticOptions {
  readonly name: GuestName;
  /** A multiple of 4096, at least 1 MiB; several GiB are fine. */
  readonly memoryBytes: number;
  readonly seed: number;
  /** Defaults to `keyValueMix`. */
  readonly workloads?: readonly WorkloadSpec[];
}

/**
 * A guest without QEMU: RAM in this process and programs that write to it. The same options give
 * the same bytes. Its time goes on only by `advance` and `write`, and only while it runs.
 */
export class SyntheticGuest implements Guest {
  readonly name: GuestName;
  readonly memory: SyntheticMemory;
  readonly #options: Required<SyntheticOptions>;
  readonly #listeners = new Set<(event: GuestEvent) => void>();
  #process: SyntheticProcess;
  #state: 'running' | 'paused' | 'gone' = 'running';
  #unsavable: string | undefined;
  #hang: { readonly wake: () => void; readonly woken: Promise<void> } | undefined;

  /** Boots a guest: its RAM is filled and its programs are ready to run. */
  constructor(options: SyntheticOptions, resumed?: ResumedGuest) {
    this.name = options.name;
    this.#options = { ...options, workloads: options.workloads ?? keyValueMix };
    this.memory = resumed?.memory ?? new SyntheticMemory(options.memoryBytes);
    const random = new Random(options.seed);
    this.#process = new SyntheticProcess(this.memory, random, this.#options.workloads);
    if (resumed === undefined) this.#process.boot(random);
    else this.#process.load(resumed.state);
  }

  /** Of its seed: two guests of one seed are one guest. */
  get instance(): string {
    return this.#options.seed.toString(16).padStart(16, '0');
  }

  get description(): GuestDescription {
    return describeSynthetic(this.#options.memoryBytes, this.#options.workloads);
  }

  /** Writes since the first boot, by the guest's own count. */
  get counter(): number {
    return this.#process.counter;
  }

  /** Depends on every write since the first boot: equal histories have equal checksums. */
  get checksum(): number {
    return this.#process.checksum;
  }

  get isRunning(): boolean {
    return this.#state === 'running';
  }

  /** Lets `ms` of guest time go by. Returns the writes made: none unless the guest runs. */
  advance(ms: number): number {
    return this.#state === 'running' ? this.#process.advance(ms) : 0;
  }

  /** Makes `count` writes, by the programs in turn as their rates ask, without time going by. */
  write(count: number): number {
    return this.#state === 'running' ? this.#process.write(count) : 0;
  }

  /** Adds the pages written since the last call to `into`: exact. Starts anew. */
  takeDirty(into: PageSet): void {
    this.memory.takeWritten(into);
  }

  async pause(): Promise<void> {
    this.#checkHere();
    await this.#hang?.woken;
    this.#checkHere();
    this.#state = 'paused';
  }

  async resume(): Promise<void> {
    this.#checkHere();
    this.#state = 'running';
  }

  async saveDeviceState(): Promise<Uint8Array> {
    this.#checkSavable();
    return encodeDeviceState(this.#process.save());
  }

  async saveBaseline(): Promise<Uint8Array> {
    this.#checkSavable();
    return encodeBaseline(this.#options);
  }

  async directIoMark(): Promise<number> {
    return 0;
  }

  onEvent(listener: (event: GuestEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async detach(): Promise<void> {
    this.#listeners.clear();
  }

  /** Fault: a device that cannot be saved, from now on; undefined mends it. */
  setUnsavable(device: string | undefined): void {
    this.#unsavable = device;
  }

  /** Fault: `pause` does not return until the function that this returns is called. */
  hangPause(): () => void {
    let wake = (): void => {};
    const woken = new Promise<void>((resolve) => {
      wake = resolve;
    });
    this.#hang = { wake, woken };
    return () => {
      this.#hang = undefined;
      wake();
    };
  }

  /** Fault: the guest reboots. RAM is filled anew, with other content. */
  reset(): void {
    this.#checkHere();
    this.#process.reboot(new Random(this.#options.seed + this.#process.boots + 1));
    this.#emit({ kind: 'reset' });
  }

  /** Fault: the guest powers itself off, or an operator asks it to. */
  shutDown(byGuest: boolean): void {
    this.#checkHere();
    this.#state = 'paused';
    this.#emit({ kind: 'shutdown', byGuest });
  }

  /** Fault: somebody else stops the guest. */
  stopByOther(reason: string): void {
    this.#checkHere();
    this.#state = 'paused';
    this.#emit({ kind: 'stopped', reason });
  }

  /** Fault: somebody else lets the guest run again. */
  resumeByOther(): void {
    this.#checkHere();
    this.#state = 'running';
    this.#emit({ kind: 'resumed' });
  }

  /** Fault: the guest is no more. Every later call throws `E_GUEST_GONE`. */
  vanish(reason: string): void {
    this.#state = 'gone';
    this.#hang?.wake();
    this.#emit({ kind: 'gone', reason });
  }

  #emit(event: GuestEvent): void {
    setImmediate(() => {
      for (const listener of this.#listeners) listener(event);
    });
  }

  #checkHere(): void {
    if (this.#state !== 'gone') return;
    throw new UnderstudyError('E_GUEST_GONE', `the synthetic guest "${this.name}" is gone`, {
      hint: 'It was made to vanish; start another one.',
    });
  }

  #checkSavable(): void {
    this.#checkHere();
    if (this.#state !== 'paused') throw new Error('the state of a running guest was asked for');
    if (this.#unsavable === undefined) return;
    throw new UnderstudyError('E_GUEST_UNSAVABLE', `${this.#unsavable} can't be saved`, {
      hint: 'Take the device out of the guest.',
      fields: { device: this.#unsavable },
    });
  }
}

/** RAM and state that a guest goes on from. */
export interface ResumedGuest {
  readonly memory: SyntheticMemory;
  readonly state: SyntheticDeviceState;
}

/** A store under 20,000 commands a second, with some of what runs beside it. */
export const keyValueMix: readonly WorkloadSpec[] = [
  { workload: 'key-value', share: 0.3, writesPerSecond: 20_000 },
  { workload: 'hot-spot', share: 0.04, writesPerSecond: 2_000 },
  { workload: 'text', share: 0.02, writesPerSecond: 200 },
  { workload: 'zeroing', share: 0.02, writesPerSecond: 200 },
];

export function describeSynthetic(
  memoryBytes: number,
  workloads: readonly WorkloadSpec[],
): GuestDescription {
  return {
    memoryBytes,
    vcpus: 1,
    machine: 'synthetic',
    accelerator: 'synthetic',
    qemuVersion: 'none',
    devicesDigest: workloads.map((spec) => `${spec.workload}:${spec.share}`).join(','),
  };
}
