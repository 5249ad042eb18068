import type { PageDigester } from '../../shared/codec/page-digester.ts';
import { asDigests, differingDigests } from '../../shared/codec/region-digest.ts';
import { UnderstudyError } from '../../shared/errors.ts';
import type { Epoch } from '../../shared/ids.ts';
import type { GuestMemory } from '../../shared/memory/guest-memory.ts';
import { PageSet } from '../../shared/page-set.ts';
import type { EpochEncoder } from '../pipeline/epoch-encoder.ts';

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
  readonly #encoder: EpochEncoder;
  readonly #digester: PageDigester;
  readonly #suspects: PageSet;
  #epoch: Epoch | undefined;
  #startedAtMs = 0;
  #nextPage = 0;
  /** End of the allocated run of pages that `#nextPage` is in: asked once a run, not a slice. */
  #dataEnd = 0;
  #pages = 0;

  constructor(memory: GuestMemory, encoder: EpochEncoder, digester: PageDigester) {
    this.#memory = memory;
    this.#encoder = encoder;
    this.#digester = digester;
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
   * Reads the next pages. To be called when the index is that of the last checkpoint, that is
   * after an epoch was encoded. Returns the result once the pass is over and settled.
   */
  slice(): AuditResult | undefined {
    if (this.#epoch === undefined) return undefined;
    if (this.#nextPage >= this.#memory.pageCount) return this.#finish(this.#epoch);
    const { buffer, capacityPages } = this.#digester;
    let left = slicePages;
    while (left > 0) {
      if (!this.#findData()) break;
      const first = this.#nextPage;
      const count = Math.min(left, capacityPages, this.#dataEnd - first);
      this.#memory.readRange(first, count, buffer, 0);
      const found = asDigests(this.#digester.digestBuffer(count));
      const recorded = asDigests(this.#encoder.pageDigests(first, count));
      for (const at of differingDigests(found, recorded)) this.#suspects.add(first + at);
      this.#nextPage = first + count;
      this.#pages += count;
      left -= count;
    }
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

/** 32 MiB: a few milliseconds between two checkpoints. */
const slicePages = 8192;
