import type { Epoch, SessionId, Term } from '../../shared/ids.ts';
import type { PageSet } from '../../shared/page-set.ts';
import type { DiskSeal } from '../../shared/wire/disk-body.ts';
import type { Checkpoint } from './replica-state.ts';
import { baseDiffers } from './store-errors.ts';

export interface EpochStart {
  readonly session: SessionId;
  readonly epoch: Epoch;
  readonly term: Term;
  /** `delta`: goes on from the epoch that is held. `sync`: from whatever RAM is. */
  readonly kind: 'delta' | 'sync';
}

/** An epoch that is being received. */
export class IncomingEpoch {
  readonly start: EpochStart;
  /** What was held when it began. */
  readonly base: Checkpoint | null;
  /** Pages written to RAM before the epoch is whole; null while it is staged. */
  inPlace: PageSet | null = null;
  deviceState: Uint8Array | null = null;
  baseline: Uint8Array | null = null;
  diskSeal: DiskSeal | null = null;

  constructor(start: EpochStart, base: Checkpoint | null) {
    this.start = start;
    this.base = base;
  }

  /** Throws `E_EPOCH_BASE` where a delta does not go on from what is held. */
  checkBase(held: Checkpoint | null): void {
    const { kind, session, epoch } = this.start;
    if (kind === 'sync') return;
    if (held !== null && held.session === session && held.epoch < epoch) return;
    throw baseDiffers(this.start, held);
  }

  /** True where the baseline of what was held still counts. */
  get continuesSession(): boolean {
    return this.base?.session === this.start.session;
  }
}
