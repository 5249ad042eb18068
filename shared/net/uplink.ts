import type { UnderstudyError } from '../errors.ts';

/** Where the guest's frames leave the host, and others reach it. */
export interface Uplink {
  /** A frame to the network. False where the network dropped it. */
  send(frame: Uint8Array): boolean;
  readonly counts: UplinkCounts;
  /** Nothing is called any more once it resolves. */
  close(): Promise<void>;
}

export interface UplinkCounts {
  /** Frames to the network, and those that it did not take. */
  readonly sent: number;
  readonly sentDropped: number;
  /** Frames from the network. */
  readonly received: number;
}

export interface UplinkListener {
  /** A frame from the network; it belongs to the caller's caller until this returns. */
  onFrame(frame: Uint8Array): void;
  /** The uplink is out and stays so: `E_UPLINK_GONE`. Called once. */
  onGone(error: UnderstudyError): void;
  /** Out for now, or in again: `E_UPLINK_DOWN`, `E_UPLINK_BRIDGE`. Called once for each change. */
  onWarning(error: UnderstudyError): void;
}

/** What the configuration says about it. */
export type UplinkConfig =
  | {
      readonly kind: 'tap';
      /** Of the interface, at most 15 bytes. */
      readonly name: string;
      /** A bridge of this host to which the TAP is attached; null: it stands alone. */
      readonly bridge: string | null;
    }
  | {
      /** passt, for use without root: see `passt.ts`. */
      readonly kind: 'passt';
      /** The guest's, with the length of its prefix, such as 10.0.2.15/24. */
      readonly address: string;
      /** Where the guest's packets to other networks go: passt itself. */
      readonly gateway: string;
      /** Ports of the host that lead to ports of the guest. */
      readonly forward: readonly { readonly hostPort: number; readonly guestPort: number }[];
    }
  /** The guest is on a cable that leads nowhere. */
  | { readonly kind: 'none' };

/** An interface's name: 1–15 bytes, no slash and no blank (dev_valid_name in Linux). */
export const interfaceNamePattern = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,15}$/;

/** An IPv4 address, and one with the length of its prefix. */
export const addressPattern = /^(?:\d{1,3}\.){3}\d{1,3}$/;
export const prefixedAddressPattern = /^(?:\d{1,3}\.){3}\d{1,3}\/\d{1,2}$/;

/** The uplink that leads nowhere. */
export class NoUplink implements Uplink {
  #sentDropped = 0;

  send(): boolean {
    this.#sentDropped++;
    return false;
  }

  get counts(): UplinkCounts {
    return { sent: 0, sentDropped: this.#sentDropped, received: 0 };
  }

  async close(): Promise<void> {}
}
