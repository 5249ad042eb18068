import {
  type ChangeBasis,
  changeRegionBytes,
  changeRegionCount,
  type KnownChanges,
} from '../change-basis.ts';
import { UnderstudyError } from '../errors.ts';
import type { ChangeMapFile, MapRecord } from './change-map-file.ts';

type MapFile = Pick<ChangeMapFile, 'write' | 'close' | 'isAboutImage'>;

/** A change belongs to no epoch that is acknowledged yet. */
const noEpoch = 2 ** 32 - 1;
/** A region is remembered for so long after a change: the next one there needs no sync. */
const restMs = 60_000;

/**
 * Where one disk may differ from the disk of an epoch that the other host has, or had: remembered on
 * this host's disk, so that two hosts that meet again need not read all of their disks.
 *
 * Invariant: what the file says is true of the image whenever this host loses power. So a region is
 * marked in the file before it is changed; one is taken off, or another basis put in force, only
 * when the image is synced. Nothing known is always true.
 */
export class ChangeMap {
  readonly #file: MapFile;
  readonly #bits: Uint8Array;
  /** Epoch of the last change, region by region; 0: before the session's log began. */
  readonly #lastEpoch: Uint32Array;
  readonly #lastAtMs: Float64Array;
  readonly #nowMs: () => number;
  #basis: ChangeBasis | null;
  /** The file says nothing yet, and what is known here is put there once the image is synced. */
  #isUnsettled = false;
  /**
   * What every record has that may be in force: one, or more where writes failed; null: they know
   * nothing. A change in these regions is remembered already.
   */
  #said: Uint8Array | null;

  constructor(file: MapFile, found: MapRecord, diskBytes: number, nowMs: () => number) {
    const count = changeRegionCount(diskBytes);
    this.#file = file;
    this.#bits = found.bits.slice();
    this.#basis = found.basis;
    this.#said = found.basis === null ? null : found.bits.slice();
    this.#lastEpoch = new Uint32Array(count).fill(noEpoch);
    this.#lastAtMs = new Float64Array(count);
    this.#nowMs = nowMs;
  }

  get known(): KnownChanges | null {
    if (this.#basis === null) return null;
    const all = Uint32Array.from(this.#lastEpoch.keys());
    return { basis: this.#basis, regions: all.filter((region) => has(this.#bits, region)) };
  }

  /**
   * Bytes are about to be changed, in this epoch or, undefined, outside of any. Throws `E_DISK_MAP`
   * where that can't be remembered: then they must not be.
   */
  note(offset: number, length: number, epoch: number | undefined): void {
    if (length === 0) return;
    const first = Math.floor(offset / changeRegionBytes);
    const last = Math.floor((offset + length - 1) / changeRegionBytes);
    const atMs = this.#nowMs();
    let isNew = false;
    for (let region = first; region <= last; region++) {
      // One more: a checkpoint may come between this and the log.
      this.#lastEpoch[region] = epoch === undefined ? noEpoch : epoch + 1;
      this.#lastAtMs[region] = atMs;
      this.#bits[region >> 3]! |= 1 << (region & 7);
      isNew ||= this.#said !== null && !has(this.#said, region);
    }
    if (isNew) this.#write(this.#basis, this.#bits);
  }

  /** The changes of a new session are counted from here: all before are in its first epoch. */
  sessionBegins(): void {
    this.#lastEpoch.fill(0);
  }

  sessionEnds(): void {
    this.#lastEpoch.fill(noEpoch);
  }

  /**
   * Nothing is known from now on: the image is about to be changed by another host's epochs. Throws
   * `E_DISK_MAP` where the file may still say something.
   */
  forget(): void {
    this.#isUnsettled = false;
    this.#bits.fill(0);
    this.#basis = null;
    if (this.#said !== null || !this.#file.isAboutImage) this.#write(null, this.#bits);
  }

  /** False where another image, or none, was here when this was last said: what is held is not of it. */
  get isAboutImage(): boolean {
    return this.#file.isAboutImage;
  }

  /** The disk is exactly that of the epoch, and the guest goes on from it here. */
  startFrom(basis: ChangeBasis): void {
    this.forget();
    this.#basis = basis;
    this.#isUnsettled = true;
    this.#lastEpoch.fill(noEpoch);
  }

  /** True where a sync of the image would let something be put in force or be taken off. */
  isWorthSyncing(acked: ChangeBasis | null): boolean {
    if (this.#isUnsettled) return true;
    if (acked === null) return false;
    if (acked.session !== this.#basis?.session || this.#basis.isExact) return true;
    const limitMs = this.#nowMs() - restMs;
    return this.#lastEpoch.some(
      (epoch, region) =>
        has(this.#bits, region) && epoch <= acked.epoch && this.#lastAtMs[region]! < limitMs,
    );
  }

  /**
   * The image was synced. `acked`: an epoch that the other host had before that sync began, in the
   * session that goes on; null: there is none. Throws `E_DISK_MAP`, and what was known still is.
   */
  synced(acked: ChangeBasis | null): void {
    if (acked === null && !this.#isUnsettled) return;
    const bits = this.#bits.slice();
    if (acked !== null) {
      const isNewSession = acked.session !== this.#basis?.session || this.#basis.isExact;
      const limitMs = this.#nowMs() - restMs;
      for (const [region, epoch] of this.#lastEpoch.entries()) {
        const rests = isNewSession || this.#lastAtMs[region]! < limitMs;
        if (epoch <= acked.epoch && rests) bits[region >> 3]! &= ~(1 << (region & 7));
      }
    }
    this.#write(acked ?? this.#basis, bits);
    this.#basis = acked ?? this.#basis;
    this.#bits.set(bits);
    this.#isUnsettled = false;
  }

  close(): void {
    this.#file.close();
  }

  #write(basis: ChangeBasis | null, bits: Uint8Array): void {
    const now = basis === null ? null : bits.slice();
    try {
      this.#file.write({ basis, bits });
    } catch (error) {
      const mayHold = !(error instanceof UnderstudyError) || error.fields.mayHold !== false;
      const before = this.#said;
      if (mayHold && now !== null) {
        this.#said = before === null ? now : now.map((byte, at) => byte & before[at]!);
      }
      throw error;
    }
    this.#said = now;
  }
}

const has = (bits: Uint8Array, region: number): boolean =>
  (bits[region >> 3]! & (1 << (region & 7))) !== 0;
