import { UnderstudyError } from '../../shared/errors.ts';
import type { Epoch } from '../../shared/ids.ts';
import type { GuestMemory } from '../../shared/memory/guest-memory.ts';
import { PageSet } from '../../shared/page-set.ts';
import type { CaptureSlots } from '../capture/capture-slots.ts';
import type { PageEncoder } from '../pipeline/page-encoder.ts';

export interface AuditResult {
  readonly epoch: Epoch;
  readonly pages: number;
  readonly startedAtMs: number;
  readonly firstDifferingPage: number | null;
}

/**
 * Compares the guest's real RAM with what the hash index says, a slice between two checkpoints,
 * so that a write which the tracker missed is found. The guest runs: a page that differs is only
 * suspect, and the next checkpoint clears it if the tracker reports it. What stays suspect was
 * written without being tracked.
 *
 * Together with the RAM digest in every COMMIT (index against the backup's table) and the
 * backup's own pass (table against its RAM file) this compares the RAM of both hosts, without a
 * pause.
 */
export class MemoryAudit {
  readonly #memory: GuestMemory;
  readonly #slots: CaptureSlots;
  readonly #encoder: PageEncoder;
  readonly #suspects: PageSet;
  #epoch: Epoch | undefined;
  #startedAtMs = 0;
  #nextPage = 0;
  /** End of the allocated run of pages that `#nextPage` is in: asked once a run, not a slice. */
  #dataEnd = 0;
  #pages = 0;

  constructor(memory: GuestMemory, slots: CaptureSlots, encoder: PageEncoder) {
    this.#memory = memory;
    this.#slots = slots;
    this.#encoder = encoder;
    this.#suspects = new PageSet(memory.pageCount);
  }

  /** Starts a pass over the RAM, unless one is under way. */
  begin(epoch: Epoch, nowMs: number): void {
    if (this.#epoch !== undefined) return;
    this.#epoch = epoch;
    this.#startedAtMs = nowMs;
    this.#nextPage = 0;
    this.#dataEnd = 0;
    this.#pages = 0;
    this.#suspects.clear();
  }

  /**
   * Reads the next pages. To be called when the index is that of the last checkpoint and the slots
   * are empty, that is after an epoch was encoded. Returns the result once the pass is over and
   * settled.
   */
  async slice(): Promise<AuditResult | undefined> {
    if (this.#epoch === undefined) return undefined;
    if (this.#nextPage >= this.#memory.pageCount) return this.#finish(this.#epoch);
    for (let left = slicePages; left > 0 && this.#findData(); ) {
      const first = this.#nextPage;
      this.#nextPage = this.#slots.captureRange(first, Math.min(this.#dataEnd, first + left));
      this.#pages += this.#nextPage - first;
      left -= this.#nextPage - first;
      const isFull = this.#nextPage < this.#dataEnd;
      if (isFull || left === 0 || this.#slots.count >= comparedPagesMin) await this.#compare();
    }
    await this.#compare();
    return undefined;
  }

  /** A checkpoint captured these pages: whatever they held before is explained. */
  settle(captured: PageSet): void {
    if (this.#epoch === undefined || this.#suspects.size === 0) return;
    this.#suspects.deleteAll(captured);
  }

  failure(result: AuditResult): UnderstudyError {
    return new UnderstudyError(
      'E_VERIFY_TRACKER',
      `page ${result.firstDifferingPage} of the guest's RAM was written without being tracked`,
      {
        hint: 'The backup is synchronised again. If this comes back, set `tracker: scan`.',
        fields: { epoch: result.epoch, page: result.firstDifferingPage },
      },
    );
  }

  async #compare(): Promise<void> {
    if (this.#slots.count === 0) return;
    const found = await this.#encoder.differing(this.#slots.counts);
    this.#slots.clear();
    for (const page of found) this.#suspects.add(page);
  }

  /** Moves on to the next allocated page; false where there is none. */
  #findData(): boolean {
    if (this.#nextPage < this.#dataEnd) return true;
    const run = this.#memory.nextData(this.#nextPage);
    this.#nextPage = run?.first ?? this.#memory.pageCount;
    this.#dataEnd = run?.end ?? this.#memory.pageCount;
    return run !== undefined;
  }

  #finish(epoch: Epoch): AuditResult {
    this.#epoch = undefined;
    const first = new Uint32Array(1);
    const found = this.#suspects.take(0, first) === 1;
    return {
      epoch,
      pages: this.#pages,
      startedAtMs: this.#startedAtMs,
      firstDifferingPage: found ? first[0]! : null,
    };
  }
}

/** What a pass over the RAM has found, as an event. */
export function verdictOf(result: AuditResult, nowMs: number) {
  const { epoch, pages, startedAtMs, firstDifferingPage } = result;
  const verifyMs = nowMs - startedAtMs;
  const ok = firstDifferingPage === null;
  const about = { kind: 'verify', epoch, side: 'primary' } as const;
  return { ...about, pages, verifyMs, ok, firstDifferingPage };
}

/** 32 MiB: a few milliseconds between two checkpoints. */
const slicePages = 8192;
/** So many are compared at once, from however many runs of allocated pages. */
const comparedPagesMin = 1024;
