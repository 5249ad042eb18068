import type { Clock } from '../shared/clock.ts';
import type { DiskServer } from '../shared/disk/disk-server.ts';
import type { ReplicaStore } from './store/replica-store.ts';
import {
  type PreparedTakeover,
  prepareTakeover,
  type Resumed,
  type ResumeParts,
  resumePrepared,
} from './takeover.ts';
import type { WarmStandby } from './warm-standby.ts';

export interface ResumptionParts {
  readonly store: ReplicaStore;
  readonly standby: WarmStandby;
  readonly clock: Clock;
  /** Where the guest has replicated disks. */
  readonly disks?: Pick<DiskServer, 'startFrom' | 'forgetChanges'> | undefined;
  readonly settings: { readonly verifyAtTakeover: 'full' | 'recorded' };
}

/**
 * The copy that is to go on here. A planned one is prepared before the term is won, so that it can
 * still be given back; one whose primary died is prepared when it is.
 */
export class Resumption {
  readonly #parts: ResumptionParts;
  #prepared: PreparedTakeover | undefined;

  constructor(parts: ResumptionParts) {
    this.#parts = parts;
  }

  /** Throws as `prepareTakeover`. */
  async prepare(): Promise<void> {
    // The primary had RAM verified before it paused the guest; what came since checks itself.
    this.#prepared = await prepareTakeover({ ...this.#parts, verifyAtTakeover: 'recorded' });
  }

  /** Throws as `prepareTakeover`, and what the standby throws. */
  async resume(
    times: Pick<ResumeParts, 'term' | 'lastHeardAtMs' | 'noticedAtMs'>,
  ): Promise<Resumed> {
    const { clock, settings } = this.#parts;
    const { verifyAtTakeover } = settings;
    const planned = this.#prepared !== undefined;
    this.#prepared ??= await prepareTakeover({ ...this.#parts, verifyAtTakeover });
    // Before the guest can change them.
    await this.#parts.disks?.startFrom(this.#prepared.session, this.#prepared.epoch);
    const { noticedAtMs } = times;
    const lastHeardAtMs = planned ? noticedAtMs : times.lastHeardAtMs;
    const parts = { ...times, lastHeardAtMs, store: this.#parts.store, clock, planned };
    return await resumePrepared(this.#prepared, parts);
  }

  /** The guest goes on where it was: RAM here is still the epoch's, or the store says otherwise. */
  async discard(): Promise<void> {
    const { store, standby } = this.#parts;
    const taken = this.#prepared?.standby ?? (await standby.take().catch(() => undefined));
    this.#prepared = undefined;
    await taken?.discard();
    standby.renew();
    // Its disks are changed by epochs again.
    await this.#parts.disks?.forgetChanges();
    if (store.takenOver() !== null) await store.reclaim('this');
  }
}
