import { changeRegionBytes } from '../../../shared/change-basis.ts';
import { ChangeMap } from '../../../shared/disk/change-map.ts';
import type { MapRecord } from '../../../shared/disk/change-map-file.ts';
import { isUnderstudyError, UnderstudyError } from '../../../shared/errors.ts';
import type { Random } from '../../../shared/random.ts';

export const regionCount = 12;
export const diskBytes = regionCount * changeRegionBytes - 4096;
export const bitmapBytes = Math.ceil(regionCount / 8);

/** A host with a disk of one number a region, a page cache that power takes away, and a map. */
export class MadeUpHost {
  /** What a read finds, and what the host's disk has for sure. */
  disk = new Array<number>(regionCount).fill(0);
  #synced = [...this.disk];
  #record: MapRecord = { basis: null, bits: new Uint8Array(bitmapBytes) };
  map!: ChangeMap;
  #nowMs = 0;
  readonly #random: Random;
  /** One in so many writes of the map fails; 0: none does. */
  failsOneIn = 0;

  constructor(random: Random) {
    this.#random = random;
    this.start();
  }

  start(): void {
    const host = this;
    const file = {
      isAboutImage: true,
      write({ basis, bits }: MapRecord) {
        const random = host.#random;
        const fails = host.failsOneIn > 0 && random.below(host.failsOneIn) === 0;
        const mayHold = random.below(2) === 0;
        // What is not written whole leaves the record before it, or none.
        if (fails && !mayHold && random.below(2) === 0) {
          host.#record = { basis: null, bits: new Uint8Array(bitmapBytes) };
        }
        if (!fails || (mayHold && random.below(2) === 0)) {
          host.#record = { basis, bits: bits.slice() };
        }
        if (fails) throw mapFailed(mayHold);
      },
      close() {},
    };
    this.map = new ChangeMap(file, this.#record, diskBytes, () => this.#nowMs);
  }

  /** As the disk's thread does it: first the map, then the disk. */
  write(region: number, value: number, epoch: number | undefined): void {
    this.#nowMs += 9000;
    if (tried(() => this.map.note(region * changeRegionBytes + 512, 4096, epoch)))
      this.disk[region] = value;
  }

  /** Long enough for what was changed to be at rest. */
  rest(): void {
    this.#nowMs += 70_000;
  }

  sync(): void {
    this.#synced = [...this.disk];
  }

  /** Of what was not synced some is there, and some is not. */
  losePower(random: Random): void {
    this.disk = this.disk.map((value, at) => (random.below(2) === 0 ? value : this.#synced[at]!));
    this.#synced = [...this.disk];
    this.start();
  }
}

export const mapFailed = (mayHold: boolean): UnderstudyError =>
  new UnderstudyError('E_DISK_MAP', 'no', { hint: 'Try again.', fields: { mayHold } });

/** False where the map can't be written. */
export function tried(work: () => void): boolean {
  try {
    work();
    return true;
  } catch (error) {
    if (!isUnderstudyError(error, 'E_DISK_MAP')) throw error;
    return false;
  }
}
