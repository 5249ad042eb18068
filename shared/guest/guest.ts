import type { GuestName } from '../ids.ts';
import type { GuestMemory } from '../memory/guest-memory.ts';

/**
 * A guest that can be checkpointed: QEMU (`shared/qemu`) or synthetic (`synthetic-guest.ts`).
 * Only the primary's one loop calls these methods, one at a time.
 */
export interface Guest {
  readonly name: GuestName;
  readonly description: GuestDescription;
  /** 16 hex digits that name this very run of the guest, whichever agent looks after it. */
  readonly instance: string;
  readonly memory: GuestMemory;

  /** Gets whatever serves the guest out of its sleep, so that the pause to follow at once is shorter. */
  wake?(): Promise<void>;
  /** Stops the vCPUs and drains devices. The pause begins. */
  pause(): Promise<void>;
  /**
   * Lets the vCPUs run. The pause ends. A guest that somebody else had stopped before `pause`
   * stays as that somebody wants it.
   */
  resume(): Promise<void>;
  /**
   * Every device's state, without RAM, of the paused guest. The bytes belong to the caller.
   * Throws UnderstudyError `E_GUEST_UNSAVABLE` where a device can't be saved.
   */
  saveDeviceState(): Promise<Uint8Array>;
  /**
   * The baseline of a paused guest: what a standby needs besides RAM and the device state of an
   * epoch (stream header, machine configuration, RAM blocks outside the RAM file, devices).
   * The guest is paused when it returns and can be resumed.
   */
  saveBaseline(): Promise<Uint8Array>;
  /**
   * Counts requests that a device ended, of those that may write into RAM past the page tables
   * (direct I/O). Equal marks: none was under way between the two, if the guest is paused at the
   * second. Always 0 where there is no such device.
   */
  directIoMark(): Promise<DirectIoMark>;
  /** Called for each event, never inside another call's stack. Returns how to stop listening. */
  onEvent(listener: (event: GuestEvent) => void): () => void;
  /** Lets go of the guest, which goes on as it is. */
  detach(): Promise<void>;
}

/** null: such devices can't be counted, so a request may be under way at any time. */
export type DirectIoMark = number | null;

/** What two sides must agree on for one to resume what the other checkpointed. */
export interface GuestDescription {
  readonly memoryBytes: number;
  readonly vcpus: number;
  /** QEMU's versioned machine type, for example `pc-q35-7.2`; `synthetic` without QEMU. */
  readonly machine: string;
  /** `kvm`, `tcg` or `synthetic`. */
  readonly accelerator: string;
  readonly qemuVersion: string;
  /** Digest of the arguments that shape devices: two sides with other devices differ here. */
  readonly devicesDigest: string;
}

export type GuestEvent =
  /** The guest rebooted: RAM blocks outside the RAM file may have changed. */
  | { readonly kind: 'reset' }
  /** The guest powered itself off, or an operator asked it to. */
  | { readonly kind: 'shutdown'; readonly byGuest: boolean }
  /** Somebody else stopped the guest (an operator through QMP, an I/O error). */
  | { readonly kind: 'stopped'; readonly reason: string }
  /** Somebody else let the guest run again. */
  | { readonly kind: 'resumed' }
  /** QEMU is no more. */
  | { readonly kind: 'gone'; readonly reason: string };

/** A guest made ready ahead of time on the backup: given RAM in its file, it loads and runs. */
export interface Standby {
  readonly description: GuestDescription;
  /** Feeds baseline and device state, spliced. RAM must be in place. */
  load(baseline: Uint8Array, deviceState: Uint8Array): Promise<void>;
  /** Lets the loaded guest run. It is from then on a guest like any other. */
  resume(): Promise<Guest>;
  /** Ends a standby that is not needed. Not for one that was resumed. */
  discard(): Promise<void>;
  /** Called if the standby's QEMU ends before it was resumed. */
  onGone(listener: (reason: string) => void): void;
}

/**
 * How an agent finds a guest. `new`: its vCPUs never ran. `paused`: by an agent of ours that is gone.
 * `stopped`: by an operator, or by QEMU itself, whose it is to let it run.
 */
export type FoundGuest = 'running' | 'new' | 'paused' | 'stopped';
