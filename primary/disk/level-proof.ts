import { beginsSync, changeRegionBytes, type KnownChanges } from '../../shared/change-basis.ts';
import { sleep } from '../../shared/clock.ts';
import { isUnderstudyError } from '../../shared/errors.ts';
import { pageBytes } from '../../shared/ids.ts';
import type { DiskLevelParts, Stretch } from './disk-level.ts';

/** Each proof syncs both images, beside the guest. */
const proofEveryMs = 1000;

/**
 * Remembers on both hosts how far a disk was brought level, so that a session that follows an
 * interrupted one goes on from there. Works beside the comparison; what fails proves nothing.
 *
 * Invariant: a region is taken off this host's map only when the backup has taken all of its changes
 * and has synced its disk after that, this host's image is synced as well, and the region was not
 * changed since those changes were handed out.
 */
export class LevelProof {
  readonly #parts: DiskLevelParts;
  readonly #disk: number;
  /** Where the two sides may have differed when the session began; null: anywhere. */
  readonly #regions: Uint32Array | null;
  /** Regions that are level once what is under way has arrived. */
  readonly #levelled: number[] = [];
  #isProving = false;
  /** The map of this host is about this session. */
  #leads = false;
  #failure: unknown;

  constructor(parts: DiskLevelParts, disk: number, regions: Uint32Array | null) {
    this.#parts = parts;
    this.#disk = disk;
    this.#regions = regions;
    this.#goOn();
  }

  /** A stretch of whole regions was compared, and what differs was logged. */
  levelled({ first, count }: Stretch): void {
    if (this.#failure !== undefined) throw this.#failure;
    const end = (first + count) * pageBytes;
    for (let at = first * pageBytes; at < end; at += changeRegionBytes) {
      this.#levelled.push(at / changeRegionBytes);
    }
    this.#goOn();
  }

  #goOn(): void {
    if (this.#isProving) return;
    this.#isProving = true;
    this.#proveAll().catch((error: unknown) => {
      // Where the session ends its owner is told why.
      const { closed } = this.#parts;
      if (!closed.aborted && !isUnderstudyError(error)) this.#failure = error;
    });
  }

  /** Stays at it for good where the backup can't follow: nothing of this session is proven then. */
  async #proveAll(): Promise<void> {
    const { clock, closed, server, session } = this.#parts;
    if (!this.#leads) {
      if (!(await this.#isFollowed())) return;
      this.#leads = await server.lead(this.#disk, session, this.#regions);
      if (!this.#leads) return;
    }
    while (this.#levelled.length > 0) {
      await this.#prove(Uint32Array.from(this.#levelled.splice(0)));
      await sleep(clock, proofEveryMs, closed);
    }
    this.#isProving = false;
  }

  async #prove(regions: Uint32Array): Promise<void> {
    const { server, stream, session } = this.#parts;
    const disk = this.#disk;
    const round = await server.endRound(disk);
    await stream.taken();
    if (!(await this.#isFollowed())) return;
    await server.proven({ disk, session, round, regions });
  }

  /**
   * Everything that the backup has taken is on its disk, which nothing else has changed. False where
   * it holds an epoch, to which a broken session goes back, or can't tell.
   */
  async #isFollowed(): Promise<boolean> {
    const { session } = this.#parts;
    const known = await this.#theirsNow();
    if (known === null || known.regions.length > 0) return false;
    return known.basis.session === session && beginsSync(known.basis);
  }

  /** Until the backup answers: its disk may be slow. */
  async #theirsNow(): Promise<KnownChanges | null> {
    for (;;) {
      try {
        return await this.#parts.theirChanges(this.#disk, 'now');
      } catch (error) {
        if (!isUnderstudyError(error, 'E_TRANSPORT_TIMEOUT')) throw error;
      }
    }
  }
}
