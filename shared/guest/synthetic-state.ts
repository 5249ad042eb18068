import { UnderstudyError } from '../errors.ts';
import type { GuestName } from '../ids.ts';
import { type WorkloadName, workloadNames } from './workload/catalog.ts';

/**
 * What a synthetic guest keeps outside its RAM, as bytes. Little-endian.
 *
 * Device state, padded to `deviceStateBytes`:
 *
 *   u32 magic "USYD" | u16 version 1 | u16 workloads | f64 elapsedUs | f64 counter |
 *   u32 checksum | u32 boots | per workload: u32 × 4 random state, u32 × 4 cursor |
 *   padding that depends on the counter | u32 sum over everything before
 *
 * Baseline: u32 magic "USYB" | u16 version 1 | u16 0 | u32 length | JSON of `SyntheticBaseline` |
 * u32 sum.
 */
export interface SyntheticDeviceState {
  /** Guest time since boot, µs. */
  readonly elapsedUs: number;
  /** Writes since the first boot: the guest's own counter. */
  readonly counter: number;
  /** Depends on every write since the first boot. */
  readonly checksum: number;
  /** Times the guest was reset. */
  readonly boots: number;
  readonly workloads: readonly WorkloadState[];
}

export interface WorkloadState {
  readonly random: ArrayLike<number>;
  readonly cursor: ArrayLike<number>;
}

export interface SyntheticBaseline {
  readonly name: GuestName;
  readonly memoryBytes: number;
  readonly seed: number;
  readonly workloads: readonly WorkloadSpec[];
}

/** One program in a synthetic guest. */
export interface WorkloadSpec {
  readonly workload: WorkloadName;
  /** Share of RAM that is its region, 0 … 1. All shares together: at most 0.9. */
  readonly share: number;
  readonly writesPerSecond: number;
}

export function encodeDeviceState(state: SyntheticDeviceState): Uint8Array {
  const bytes = new Uint8Array(deviceStateBytes);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, deviceMagic, true);
  view.setUint16(4, version, true);
  view.setUint16(6, state.workloads.length, true);
  view.setFloat64(8, state.elapsedUs, true);
  view.setFloat64(16, state.counter, true);
  view.setUint32(24, state.checksum, true);
  view.setUint32(28, state.boots, true);
  let at = 32;
  for (const workload of state.workloads) {
    for (let i = 0; i < 4; i++) view.setUint32(at + i * 4, workload.random[i]!, true);
    for (let i = 0; i < 4; i++) view.setUint32(at + 16 + i * 4, workload.cursor[i]!, true);
    at += 32;
  }
  // Most of a device's state stays from epoch to epoch, some of it counts.
  for (; at < deviceStateBytes - 4; at += 4) {
    view.setUint32(at, (at & 0x1fc) === 0 ? state.counter >>> 0 : at >>> 4, true);
  }
  view.setUint32(deviceStateBytes - 4, sumOf(bytes, deviceStateBytes - 4), true);
  return bytes;
}

/** Throws `E_SYNTHETIC_STATE` where the bytes are not what `encodeDeviceState` returned. */
export function decodeDeviceState(bytes: Uint8Array): SyntheticDeviceState {
  if (bytes.length !== deviceStateBytes) throw corrupt('device state', 'its length is wrong');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(deviceStateBytes - 4, true) !== sumOf(bytes, deviceStateBytes - 4)) {
    throw corrupt('device state', 'its sum is wrong');
  }
  checkHead(view, deviceMagic, 'device state');
  const words = (at: number): number[] => [0, 4, 8, 12].map((i) => view.getUint32(at + i, true));
  return {
    elapsedUs: view.getFloat64(8, true),
    counter: view.getFloat64(16, true),
    checksum: view.getUint32(24, true),
    boots: view.getUint32(28, true),
    workloads: Array.from({ length: view.getUint16(6, true) }, (_, i) => ({
      random: words(32 + i * 32),
      cursor: words(48 + i * 32),
    })),
  };
}

export function encodeBaseline(baseline: SyntheticBaseline): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify(baseline));
  const bytes = new Uint8Array(12 + text.length + 4);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, baselineMagic, true);
  view.setUint16(4, version, true);
  view.setUint32(8, text.length, true);
  bytes.set(text, 12);
  view.setUint32(12 + text.length, sumOf(bytes, 12 + text.length), true);
  return bytes;
}

/** Throws `E_SYNTHETIC_STATE` where the bytes are not what `encodeBaseline` returned. */
export function decodeBaseline(bytes: Uint8Array): SyntheticBaseline {
  if (bytes.length < 16) throw corrupt('baseline', 'it is too short');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = bytes.length - 4;
  if (view.getUint32(8, true) !== end - 12) throw corrupt('baseline', 'its length is wrong');
  if (view.getUint32(end, true) !== sumOf(bytes, end)) {
    throw corrupt('baseline', 'its sum is wrong');
  }
  checkHead(view, baselineMagic, 'baseline');
  const parsed: SyntheticBaseline = JSON.parse(new TextDecoder().decode(bytes.subarray(12, end)));
  if (!parsed.workloads.every((spec) => workloadNames.includes(spec.workload))) {
    throw corrupt('baseline', 'it names a workload that does not exist');
  }
  return parsed;
}

/** About what QEMU's devices take on a guest without a display. */
export const deviceStateBytes = 14 * 1024;
/** As many as fit with room to spare. */
export const workloadCountMax = 64;

const version = 1;
const deviceMagic = 0x4459_5355;
const baselineMagic = 0x4259_5355;

function checkHead(view: DataView, magic: number, what: string): void {
  if (view.getUint32(0, true) !== magic) throw corrupt(what, 'its magic number is wrong');
  if (view.getUint16(4, true) !== version) throw corrupt(what, 'its version is unknown');
}

/** FNV-1a, 32 bits, over the first `end` bytes. */
function sumOf(bytes: Uint8Array, end: number): number {
  let sum = 0x811c_9dc5;
  for (let i = 0; i < end; i++) sum = Math.imul(sum ^ bytes[i]!, 0x0100_0193);
  return sum >>> 0;
}

function corrupt(what: string, why: string): UnderstudyError {
  return new UnderstudyError('E_SYNTHETIC_STATE', `a synthetic guest's ${what}: ${why}`, {
    hint: 'The bytes were changed on their way, or belong to another guest.',
  });
}
