import type { Clock } from '../../shared/clock.ts';
import {
  asDigests,
  differingDigests,
  regionDigestsOf,
  regionPages,
} from '../../shared/codec/region-digest.ts';
import { isUnderstudyError, UnderstudyError } from '../../shared/errors.ts';
import { type Epoch, epoch } from '../../shared/ids.ts';
import type { EmitEvent } from '../../shared/observe/events.ts';
import type { About, ControlChannel } from '../../shared/transport/control-channel.ts';
import type { PageEncoder } from '../pipeline/page-encoder.ts';

export interface ComparisonParts {
  readonly about: About;
  readonly control: ControlChannel;
  readonly encoder: PageEncoder;
  readonly pageCount: number;
  readonly clock: Clock;
  readonly emit: EmitEvent;
  /** Aborted when the session is closed. */
  readonly closed: AbortSignal;
  /** The backup's RAM is not this guest's: the session is over. */
  readonly onDiffers: (error: UnderstudyError) => void;
}

export interface VerifiedRam {
  readonly pages: number;
  readonly isSame: boolean;
}

/** The backup reads its whole RAM before it answers. */
const answerTimeoutMs = 60_000;

/**
 * Compares the digests of the whole RAM on both sides for the same epoch. The backup answers with
 * its digests as of that epoch once it has read its RAM file and found it to be what they say.
 */
export class ReplicaComparison {
  readonly #parts: ComparisonParts;
  #asked: { readonly epoch: Epoch; ours: BigUint64Array | undefined } | undefined;

  constructor(parts: ComparisonParts) {
    this.#parts = parts;
  }

  /**
   * Asks for `number`, which is not committed yet: so the backup knows before it has it. Resolves
   * with null where another comparison is under way, or no answer came.
   */
  begin(number: Epoch): Promise<VerifiedRam | null> {
    if (this.#asked !== undefined) return Promise.resolve(null);
    const asked = { epoch: number, ours: undefined };
    this.#asked = asked;
    return this.#ask(asked)
      .then((pages) => ({ pages, isSame: true }))
      .catch((error: unknown) => this.#onError(error))
      .finally(() => {
        this.#asked = undefined;
      });
  }

  /** `number` was encoded: the index is what the guest's RAM was then. */
  async encoded(number: Epoch): Promise<void> {
    const asked = this.#asked;
    if (asked?.epoch === number) asked.ours = await this.#regions();
  }

  /** Returns how many pages were compared. Throws `E_VERIFY_REPLICA` where one differs. */
  async #ask(asked: { epoch: Epoch; ours: BigUint64Array | undefined }): Promise<number> {
    const { about, control, pageCount, clock, emit } = this.#parts;
    const startedAtMs = clock.nowMs();
    const request = { kind: 'verify-request' as const, epoch: asked.epoch };
    const answer = await control.ask(about, request, ['verify'], answerTimeoutMs);
    const verifyMs = clock.nowMs() - startedAtMs;
    if (asked.ours === undefined || answer.epoch !== asked.epoch) {
      throw new Error(`a comparison of epoch ${asked.epoch} got epoch ${answer.epoch}`);
    }
    const [region] = differingDigests(asked.ours, answer.digests);
    const page = region === undefined ? null : await this.#firstDifferingPage(region);
    const what = { epoch: asked.epoch, side: 'backup' as const, pages: pageCount, verifyMs };
    emit({ kind: 'verify', ...what, ok: page === null, firstDifferingPage: page });
    if (page !== null) throw differs(asked.epoch, page);
    return pageCount;
  }

  /** Of a region that differs; its first page where the two sides have moved on meanwhile. */
  async #firstDifferingPage(region: number): Promise<number> {
    const { about, control, encoder, pageCount } = this.#parts;
    const first = region * regionPages;
    const count = Math.min(regionPages, pageCount - first);
    const request = { kind: 'page-digests-request' as const, epoch: epoch(0), first, count };
    const kinds = ['region-digests', 'page-digests'] as const;
    const answer = await control.ask(about, request, kinds, answerTimeoutMs);
    const ours = asDigests(await encoder.pageDigests(first, count));
    return first + (differingDigests(ours, answer.digests)[0] ?? 0);
  }

  async #regions(): Promise<BigUint64Array> {
    const { encoder, pageCount } = this.#parts;
    return regionDigestsOf(asDigests(await encoder.pageDigests(0, pageCount)));
  }

  #onError(error: unknown): VerifiedRam | null {
    if (isUnderstudyError(error, 'E_VERIFY_REPLICA')) {
      this.#parts.onDiffers(error);
      return { pages: this.#parts.pageCount, isSame: false };
    }
    if (!isUnderstudyError(error)) throw error;
    if (this.#parts.closed.aborted) return null;
    // No answer is no verdict: the next comparison will get one, or the session ends for itself.
    const { code, message, hint } = error;
    this.#parts.emit({ kind: 'warning', code, message, hint });
    return null;
  }
}

function differs(number: Epoch, page: number): UnderstudyError {
  return new UnderstudyError(
    'E_VERIFY_REPLICA',
    `page ${page} of the backup's RAM is not what the guest's was at epoch ${number}`,
    {
      hint: 'The backup is synchronised again. If this comes back, check both hosts for memory errors.',
      fields: { epoch: number, page },
    },
  );
}
