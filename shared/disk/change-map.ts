import {
  beginsSync,
  type ChangeBasis,
  changeRegionBytes,
  changeRegionCount,
  type KnownChanges,
} from '../change-basis.ts';
import { UnderstudyError } from '../errors.ts';
import type { SessionId } from '../ids.ts';
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
  /** Round of bringing the other host level in which a region was changed last. */
  readonly #lastRound: Uint32Array;
  #round = 1;
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
    this.#lastRound = new Uint32Array(count);
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
      this.#lastRound[region] = this.#round;
      mark(this.#bits, region);
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

  /**
   * Only the changes of this session are made to the image from now on, by its primary: `basis` is
   * the beginning of its synchronisation. Throws `E_DISK_MAP`, and what was known still is.
   */
  follow(basis: ChangeBasis): void {
    const bits = new Uint8Array(this.#bits.length);
    this.#write(basis, bits);
    this.#take(basis, bits);
  }

  /**
   * The other host is brought level from here: it follows `basis`, and may differ in `regions`, or
   * anywhere. The image was synced, and the other host's as well. Throws as `follow`.
   */
  lead(basis: ChangeBasis, regions: Uint32Array | null): void {
    const isAnywhere = regions === null || this.#basis === null;
    const bits = this.#bits.slice();
    for (const region of isAnywhere ? this.#lastEpoch.keys() : regions) mark(bits, region);
    this.#write(basis, bits);
    this.#take(basis, bits);
  }

  /** Ends a round of proofs: changes so far are of it. */
  endRound(): number {
    return this.#round++;
  }

  /**
   * The image was synced, and the other host has these regions on its disk as they were here when
   * `round` ended. Those that were not changed since are taken off, except where the next change
   * would be soon. Throws `E_DISK_MAP`, and what was known still is.
   */
  proven(session: SessionId, round: number, regions: Uint32Array): void {
    const basis = this.#basis;
    if (basis === null || !beginsSync(basis) || basis.session !== session) return;
    const bits = this.#bits.slice();
    const limitMs = this.#nowMs() - restMs;
    for (const region of regions) {
      const last = this.#lastRound[region]!;
      const rests = last === 0 || this.#lastAtMs[region]! < limitMs;
      if (last <= round && rests) bits[region >> 3]! &= ~(1 << (region & 7));
    }
    this.#write(basis, bits);
    this.#take(basis, bits);
  }

  /** True where a sync of the image would let something be put in force or be taken off. */
  isWorthSyncing(acked: ChangeBasis | null): boolean {
    if (this.#isUnsettled) return true;
    if (acked === null) return false;
    if (isNewTo(this.#basis, acked)) return true;
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
      const isNewSession = isNewTo(this.#basis, acked);
      const limitMs = this.#nowMs() - restMs;
      for (const [region, epoch] of this.#lastEpoch.entries()) {
        const rests = isNewSession || this.#lastAtMs[region]! < limitMs;
        if (epoch <= acked.epoch && rests) bits[region >> 3]! &= ~(1 << (region & 7));
      }
    }
    const basis = acked ?? this.#basis!;
    this.#write(basis, bits);
    this.#take(basis, bits);
  }

  close(): void {
    this.#file.close();
  }

  #take(basis: ChangeBasis, bits: Uint8Array): void {
    this.#basis = basis;
    this.#bits.set(bits);
    this.#isUnsettled = false;
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

/** Nothing of the acknowledged epoch's session is known yet, but how far it was brought level. */
const isNewTo = (basis: ChangeBasis | null, acked: ChangeBasis): boolean =>
  acked.session !== basis?.session || basis.isExact || beginsSync(basis);

function mark(bits: Uint8Array, region: number): void {
  bits[region >> 3]! |= 1 << (region & 7);
}

const has = (bits: Uint8Array, region: number): boolean =>
  (bits[region >> 3]! & (1 << (region & 7))) !== 0;
