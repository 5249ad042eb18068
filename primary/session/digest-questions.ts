import type { KnownChanges } from '../../shared/change-basis.ts';
import { regionCountOf } from '../../shared/codec/region-digest.ts';
import { isUnderstudyError } from '../../shared/errors.ts';
import { epoch } from '../../shared/ids.ts';
import type { About, ControlChannel } from '../../shared/transport/control-channel.ts';
import type { DigestsRequest } from '../../shared/wire/digest-body.ts';
import type { DiskDigestsRequest } from '../../shared/wire/disk-digest-body.ts';
import type { PeerDigests } from './level.ts';

export interface DigestQuestionsParts {
  readonly control: ControlChannel;
  readonly about: About;
  readonly closed: AbortSignal;
}

/**
 * A question about digests, or its answer, may be lost: it is asked again, and waited for longer
 * each time, because a backup digests its whole RAM before it answers the first one.
 */
const timeoutsMs = [2000, 4000, 8000, 16_000, 32_000];

/** Asks the backup what it holds. Everything throws once the session is closed. */
export class DigestQuestions {
  readonly #parts: DigestQuestionsParts;
  /** Rejects when the session is closed. */
  readonly #whenClosed: Promise<never>;

  constructor(parts: DigestQuestionsParts) {
    this.#parts = parts;
    const { closed } = parts;
    this.#whenClosed = new Promise((_, reject) => {
      closed.addEventListener('abort', () => reject(closed.reason), { once: true });
    });
    this.#whenClosed.catch(() => {});
  }

  /**
   * What the backup knew of its disk when the session began; `isOfNow`: what it knows now, with
   * everything that it has taken on its disk. Null: nothing.
   */
  async knownChanges(disk: number, isOfNow: boolean): Promise<KnownChanges | null> {
    const { known } = await this.#insist((timeoutMs) =>
      this.#parts.control.ask(
        this.#parts.about,
        { kind: 'disk-changes-request', disk, isOfNow },
        ['disk-changes'],
        timeoutMs,
      ),
    );
    return known;
  }

  /** Asks until the digests come. */
  async ask(
    request: DigestsRequest | DiskDigestsRequest,
    answerKind: 'region-digests' | 'page-digests' | 'disk-digests',
  ): Promise<BigUint64Array> {
    const { control, about } = this.#parts;
    const { digests } = await this.#insist((timeoutMs) =>
      control.ask(about, request, [answerKind], timeoutMs),
    );
    if (digests.length !== request.count) throw new Error(`${digests.length} digests`);
    return digests;
  }

  /** Asks again where an answer does not come. */
  async #insist<Answer>(ask: (timeoutMs: number) => Promise<Answer>): Promise<Answer> {
    for (let attempt = 0; ; attempt++) {
      try {
        return await Promise.race([ask(timeoutsMs[attempt]!), this.#whenClosed]);
      } catch (error) {
        const lost = isUnderstudyError(error, 'E_TRANSPORT_TIMEOUT');
        if (!lost || attempt + 1 >= timeoutsMs.length) throw error;
      }
    }
  }

  /** Digests of the backup's RAM. */
  peerDigests(pageCount: number): PeerDigests {
    const ask = (kind: 'region-digests' | 'page-digests', first: number, count: number) =>
      this.ask({ kind: `${kind}-request`, epoch: epoch(0), first, count }, kind);
    return {
      regions: () => ask('region-digests', 0, regionCountOf(pageCount)),
      pages: (first, count) => ask('page-digests', first, count),
    };
  }
}
