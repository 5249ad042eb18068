import { systemCode } from '../errors.ts';
import { pageBytes } from '../ids.ts';
import type { DiskExtent, NbdDisk } from '../nbd/nbd-disk.ts';
import { PageSet } from '../page-set.ts';
import type { ChangeLog } from './change-log.ts';
import type { ChangeMap } from './change-map.ts';
import { changesAre, diskControl } from './disk-control.ts';
import type { DiskImage } from './disk-image.ts';
import { diskPageCount } from './disk-pages.ts';
import type { Trouble } from './disk-trouble.ts';

/** What all disks of a guest have in common. */
export interface DiskState {
  log: ChangeLog | undefined;
  readonly control: Int32Array;
  /** To be called when the guest stops: each ends the waiting of a FLUSH. */
  readonly flushing: Set<() => void>;
  /** The host failed reading, writing or syncing, which the guest asked for unless it is `own`. */
  readonly trouble: (disk: number, what: Trouble, error: unknown) => void;
}

type Image = Omit<DiskImage, 'close' | 'path' | 'nextData' | 'identity'>;

/**
 * A disk whose changes are logged for the running epoch as they are made: the order of the log is
 * that of the changes, because both are made in one turn of this thread.
 */
export class LoggedDisk implements NbdDisk {
  readonly writable = true;
  readonly #image: Image;
  readonly #disk: number;
  readonly #state: DiskState;
  readonly #map: Pick<ChangeMap, 'note'>;
  /** A sync that nobody waited for has failed: the next FLUSH says so. */
  #failed: unknown;
  /** The last sync that failed. */
  #failure: { readonly error: unknown } | undefined;
  /** Pages that were changed since a comparison with the backup began. */
  #changed: PageSet | undefined;

  constructor(image: Image, disk: number, state: DiskState, map: Pick<ChangeMap, 'note'>) {
    this.#image = image;
    this.#disk = disk;
    this.#state = state;
    this.#map = map;
  }

  get sizeBytes(): number {
    return this.#image.sizeBytes;
  }

  readCached(offset: number, target: Uint8Array, address: bigint): boolean {
    return this.#told('reading', () => this.#image.readCached(offset, target, address));
  }

  async read(offset: number, target: Uint8Array): Promise<void> {
    try {
      await this.#image.read(offset, target);
    } catch (error) {
      this.#state.trouble(this.#disk, 'reading', error);
      throw error;
    }
  }

  write(offset: number, source: Uint8Array): void {
    this.#refuseUnlessOpen();
    this.#note(offset, source.length);
    try {
      this.#image.write(offset, source);
    } catch (error) {
      this.#state.trouble(this.#disk, 'writing', error);
      this.#logFailed(offset, source.length);
      throw error;
    }
    this.#log((log, epoch) => log.data(epoch, this.#disk, offset, source));
  }

  zero(offset: number, length: number, mayPunch: boolean): void {
    this.#refuseUnlessOpen();
    this.#note(offset, length);
    try {
      this.#image.zero(offset, length, mayPunch);
    } catch (error) {
      this.#state.trouble(this.#disk, 'writing', error);
      this.#logFailed(offset, length);
      throw error;
    }
    this.#log((log, epoch) => log.zeros(epoch, this.#disk, offset, length));
  }

  trim(offset: number, length: number): void {
    this.zero(offset, length, true);
  }

  /**
   * While the guest is stopped for a checkpoint nobody of it waits, and QEMU must not: the sync
   * goes on behind its back. What it was for is in the log, and safe with the epoch.
   */
  async flush(): Promise<void> {
    const failed = this.#failed;
    if (failed !== undefined) {
      this.#failed = undefined;
      throw failed;
    }
    const synced = this.#sync('syncing');
    const { log, control, flushing } = this.#state;
    if (log === undefined) {
      await synced;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      let isLate = false;
      const goOn = (): void => {
        isLate = true;
        flushing.delete(goOn);
        resolve();
      };
      flushing.add(goOn);
      synced.then(goOn, (error: unknown) => {
        if (isLate) this.#failed = error;
        flushing.delete(goOn);
        reject(error);
      });
      if (Atomics.load(control, diskControl.pausing) === 1) goOn();
    });
  }

  extents(offset: number, length: number, countMax: number): DiskExtent[] {
    return this.#told('reading', () => this.#image.extents(offset, length, countMax));
  }

  /** Logs pages as they are now, so that a backup that misses them gets them. */
  copy(pages: Uint32Array): void {
    const page = new Uint8Array(pageBytes);
    for (const index of pages) {
      const offset = index * pageBytes;
      const length = Math.min(pageBytes, this.sizeBytes - offset);
      const content = page.subarray(0, length);
      this.#image.readNow(offset, content);
      this.#logContent(offset, content);
    }
  }

  /** Syncs behind the guest's back: where that fails, the next FLUSH tells of it, too. */
  async syncBehind(): Promise<void> {
    try {
      await this.#sync('own syncing');
    } catch (error) {
      this.#failed = error;
      throw error;
    }
  }

  /** What was written before a sync that failed may be on no disk, whatever later ones say. */
  get hasFailedSync(): boolean {
    return this.#failure !== undefined;
  }

  /** Remembers which pages are changed from now on, or forgets them. */
  watch(isOn: boolean): void {
    this.#changed = isOn ? new PageSet(diskPageCount(this.sizeBytes)) : undefined;
  }

  /** Those of `pages` that were not changed since the watch began; none without one. */
  unchanged(pages: Uint32Array): Uint32Array {
    const changed = this.#changed;
    return pages.filter((page) => changed?.has(page) === false);
  }

  /**
   * The system tells one sync of what could not be written, not every one that waits for it: what
   * another one was told meanwhile counts here, too.
   */
  async #sync(what: 'syncing' | 'own syncing'): Promise<void> {
    const before = this.#failure;
    try {
      await this.#image.flush();
    } catch (error) {
      this.#failure = { error };
      this.#state.trouble(this.#disk, what, error);
      throw error;
    }
    if (this.#failure !== before) throw this.#failure?.error;
  }

  /** An operator hears of what fails. */
  #told<T>(what: 'reading' | 'writing', work: () => T): T {
    try {
      return work();
    } catch (error) {
      this.#state.trouble(this.#disk, what, error);
      throw error;
    }
  }

  /** Before anything is changed. Throws where that can't be remembered: then nothing is. */
  #note(offset: number, length: number): void {
    if (length === 0) return;
    const { log, control } = this.#state;
    const epoch = log === undefined ? undefined : Atomics.load(control, diskControl.epoch);
    this.#told('writing', () => this.#map.note(offset, length, epoch));
    const first = Math.floor(offset / pageBytes);
    this.#changed?.addRange(first, Math.ceil((offset + length) / pageBytes));
  }

  #logContent(offset: number, content: Uint8Array): void {
    const isZero = zeroPage.compare(content, 0, content.length, 0, content.length) === 0;
    this.#log((log, epoch) => {
      if (isZero) log.zeros(epoch, this.#disk, offset, content.length);
      else log.data(epoch, this.#disk, offset, content);
    });
  }

  /**
   * A change that failed may have been made in part. The guest is told so, and nothing is known of
   * the range; but the backup must have what is here. What can't be read is left to the digests.
   */
  #logFailed(offset: number, length: number): void {
    if (this.#state.log === undefined) return;
    const part = Buffer.alloc(pageBytes);
    try {
      for (let done = 0; done < length; done += part.length) {
        const content = part.subarray(0, Math.min(part.length, length - done));
        this.#image.readNow(offset + done, content);
        this.#logContent(offset + done, content);
      }
    } catch (error) {
      if (systemCode(error) === undefined) throw error;
    }
  }

  #log(work: (log: ChangeLog, epoch: number) => void): void {
    const { log, control } = this.#state;
    if (log !== undefined) work(log, Atomics.load(control, diskControl.epoch));
  }

  #refuseUnlessOpen(): void {
    if (Atomics.load(this.#state.control, diskControl.changes) === changesAre.open) return;
    throw Object.assign(new Error('the guest does not run here'), { code: 'EPERM' });
  }
}

const zeroPage = Buffer.alloc(pageBytes);
