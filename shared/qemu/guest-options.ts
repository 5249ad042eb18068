import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { UnderstudyError } from '../errors.ts';
import type { GuestName } from '../ids.ts';
import type { UplinkConfig } from '../net/uplink.ts';

/** A guest as the operator describes it; everything that shapes its QEMU. */
export interface GuestConfig {
  readonly name: GuestName;
  readonly memoryBytes: number;
  readonly vcpus: number;
  /** `auto`: KVM where it really runs a guest, else TCG. */
  readonly accelerator: 'auto' | AcceleratorKind;
  /** A versioned machine type. Default `pc-i440fx-7.2`: fewer devices to save than q35. */
  readonly machine?: string | undefined;
  /** Default: `host` with KVM, `qemu64,+rdrand` with TCG. */
  readonly cpu?: string | undefined;
  readonly kernel?: string | undefined;
  readonly initrd?: string | undefined;
  readonly append?: string | undefined;
  readonly disks: readonly DiskConfig[];
  readonly networks: readonly NetworkConfig[];
  /** What the guest prints on its first serial line goes here; nowhere if absent. */
  readonly serialLog?: string | undefined;
  readonly extraArguments: readonly string[];
  /** Sockets, pid file, lock and logs of this guest on this host. */
  readonly runFolder: string;
  /** A folder on tmpfs for guest RAM and device state, for example `/dev/shm/understudy`. */
  readonly memoryFolder: string;
  /** Default: `qemu-system-x86_64` from the PATH. */
  readonly qemu?: string | undefined;
}

export type AcceleratorKind = 'kvm' | 'tcg';

export interface DiskConfig {
  readonly path: string;
  readonly format: 'raw' | 'qcow2';
  readonly readonly?: boolean | undefined;
  /** The agent serves it, and the backup has a copy. */
  readonly replicate?: boolean | undefined;
}

export type NetworkConfig =
  | { readonly kind: 'user'; readonly hostForward: readonly HostForward[] }
  /** A cable whose other end is the agent: see `shared/net/cable.ts`. */
  | {
      readonly kind: 'cable';
      /** Default: see `macOf`. */
      readonly mac: string | null;
      readonly uplink: UplinkConfig;
    }
  /** A card without a cable. */
  | { readonly kind: 'none' };

/** TCP connections to 127.0.0.1:hostPort reach the guest's guestPort. */
export interface HostForward {
  readonly hostPort: number;
  readonly guestPort: number;
}

/** The files of one guest on one host. */
export interface GuestPaths {
  readonly folder: string;
  readonly monitor: string;
  /** A second monitor, for an operator: the first one is the agent's. */
  readonly operatorMonitor: string;
  /** A third one, for `ReadyCommand`. */
  readonly devicesMonitor: string;
  /** Where the baseline stream is written to and read from. */
  readonly stream: string;
  /** Where the agent serves replicated disks. */
  readonly disks: string;
  readonly pidFile: string;
  readonly record: string;
  /** See `HoldMark`. */
  readonly holdMark: string;
  readonly lock: string;
  readonly log: string;
  readonly shimStatus: string;
  readonly ram: string;
  readonly deviceState: string;
}

export const defaultMachine = 'pc-i440fx-7.2';
export const defaultQemu = 'qemu-system-x86_64';

/** Throws `E_GUEST_CONFIG` where a socket's path would be too long for the system. */
export function guestPaths(config: GuestConfig): GuestPaths {
  const { runFolder: folder, memoryFolder, name } = config;
  const paths: GuestPaths = {
    folder,
    monitor: join(folder, 'qmp.sock'),
    operatorMonitor: join(folder, 'operator.sock'),
    devicesMonitor: join(folder, 'devices.sock'),
    stream: join(folder, 'stream.sock'),
    disks: join(folder, 'disks.sock'),
    pidFile: join(folder, 'qemu.pid'),
    record: join(folder, 'guest.json'),
    holdMark: join(folder, 'held'),
    lock: join(folder, 'lock'),
    log: join(folder, 'qemu.log'),
    shimStatus: join(folder, 'shim.status'),
    ram: join(memoryFolder, `${name}.ram`),
    deviceState: join(memoryFolder, `${name}.devices`),
  };
  if (Buffer.byteLength(paths.operatorMonitor) > socketPathBytesMax) {
    throw new UnderstudyError('E_GUEST_CONFIG', `the run folder's path is too long: ${folder}`, {
      hint: `A socket's path has at most ${socketPathBytesMax} bytes; choose a shorter runFolder.`,
      fields: { runFolder: folder },
    });
  }
  return paths;
}

/** Throws `E_GUEST_CONFIG` for what QEMU would accept but protection could not work with. */
export function checkGuestConfig(config: GuestConfig): void {
  const machine = config.machine ?? defaultMachine;
  if (!versionedMachine.test(machine)) {
    throw new UnderstudyError('E_GUEST_CONFIG', `machine "${machine}" has no version`, {
      hint: `Name a versioned type such as ${defaultMachine}: both sides must have the same.`,
      fields: { machine },
    });
  }
  const taken = config.extraArguments.find((argument) =>
    ownArguments.has(argument.replace(/^--?/, '-')),
  );
  if (taken !== undefined) {
    throw new UnderstudyError('E_GUEST_CONFIG', `extraArguments may not hold ${taken}`, {
      hint: 'This argument is given by Understudy itself; use the guest section’s own keys.',
      fields: { argument: taken },
    });
  }
}

/**
 * 16 hex digits over what shapes the guest's devices. Host paths and ports are left out: they may
 * differ between two sides that can stand in for each other.
 */
export function devicesDigest(config: GuestConfig, accelerator: AcceleratorKind): string {
  const shape = {
    accelerator,
    machine: config.machine ?? defaultMachine,
    cpu: config.cpu ?? defaultCpu(accelerator),
    memoryBytes: config.memoryBytes,
    vcpus: config.vcpus,
    disks: config.disks.map((disk) =>
      disk.replicate === true ? 'replicated' : disk.readonly === true,
    ),
    networks: config.networks.map((network, card) =>
      network.kind === 'cable' ? `cable ${macOf(config, card)}` : network.kind,
    ),
    extraArguments: config.extraArguments,
  };
  return createHash('sha256').update(JSON.stringify(shape)).digest('hex').slice(0, 16);
}

/** KVM shows the host's CPU. TCG's model is small, with a random source for a quick boot. */
export function defaultCpu(accelerator: AcceleratorKind): string {
  return accelerator === 'kvm' ? 'host' : 'qemu64,+rdrand';
}

/** The socket on which QEMU listens for the agent's end of the cable of `card`, counted from 0. */
export function cablePath(paths: GuestPaths, card: number): string {
  return join(paths.folder, `cable${card}.sock`);
}

/**
 * Hardware address of `card`. For a cable it follows from the guest's name unless it is given: the
 * same on every host, another for every guest, 40 of its bits drawn by the name; its first byte
 * says "one card" and "given by an administrator", as 52:54:00 does.
 */
export function macOf(config: Pick<GuestConfig, 'name' | 'networks'>, card: number): string {
  const network = config.networks[card];
  if (network?.kind !== 'cable') return `52:54:00:12:34:${hexByte(0x56 + card)}`;
  if (network.mac !== null) return network.mac.toLowerCase();
  const drawn = createHash('sha256').update(`${config.name}/${card}`).digest().subarray(0, 5);
  return ['52', ...Array.from(drawn, hexByte)].join(':');
}

const hexByte = (value: number): string => value.toString(16).padStart(2, '0');

const versionedMachine = /-\d+\.\d+$/;
/** sun_path has 108 bytes, the last one zero. */
const socketPathBytesMax = 107;
const ownArguments = new Set([
  ...['-m', '-machine', '-M', '-accel', '-enable-kvm', '-cpu', '-smp', '-S', '-incoming'],
  ...['-daemonize', '-pidfile', '-mem-path', '-loadvm', '-snapshot', '-qmp', '-monitor'],
  ...['-name', '-display', '-nographic', '-kernel', '-initrd', '-append', '-serial'],
]);
