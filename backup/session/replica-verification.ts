import type { Clock } from '../../shared/clock.ts';
import { regionDigestsOf } from '../../shared/codec/region-digest.ts';
import { UnderstudyError } from '../../shared/errors.ts';
import type { Epoch } from '../../shared/ids.ts';
import type { EmitEvent } from '../../shared/observe/events.ts';
import type { Incoming } from '../../shared/transport/control-channel.ts';
import type { ReplicaStore } from '../store/replica-store.ts';

export interface VerificationParts {
  readonly store: ReplicaStore;
  readonly clock: Clock;
  readonly emit: EmitEvent;
  /** RAM was found to be damaged, or could not be read. */
  readonly onFailed: (error: unknown) => void;
}

/**
 * Answers a primary that wants to compare the whole RAM for an epoch: takes the digests as of
 * that epoch, reads the RAM file beside the epochs that follow, and answers once it is found to
 * be what the digests say.
 */
export class ReplicaVerification {
  readonly #parts: VerificationParts;
  #asked: { readonly epoch: Epoch; readonly incoming: Incoming } | undefined;
  #reading = false;

  constructor(parts: VerificationParts) {
    this.#parts = parts;
  }

  /** `last` is the newest epoch that is committed. */
  ask(epoch: Epoch, last: Epoch, incoming: Incoming): void {
    if (this.#reading || this.#asked !== undefined || epoch < last) {
      incoming.answer({
        kind: 'refuse',
        code: 'E_VERIFY_LATE',
        message: `epoch ${epoch} can't be compared any more, the backup is at ${last}`,
        hint: 'The next comparison follows by itself; compare less often if this comes back.',
      });
      return;
    }
    this.#asked = { epoch, incoming };
    if (epoch === last) this.committed(epoch);
  }

  /** To be called when the store holds `epoch`, before anything else is applied. */
  committed(epoch: Epoch): void {
    const asked = this.#asked;
    if (asked?.epoch !== epoch) return;
    this.#asked = undefined;
    this.#reading = true;
    const { store, onFailed } = this.#parts;
    const root = store.holds()!.ramDigest;
    const digests = regionDigestsOf(store.pageDigests());
    this.#read(epoch)
      .then((isWhole) => {
        if (isWhole) asked.incoming.answer({ kind: 'verify', epoch, root, first: 0, digests });
      })
      .catch(onFailed)
      .finally(() => {
        this.#reading = false;
      });
  }

  async #read(epoch: Epoch): Promise<boolean> {
    const { store, clock, emit } = this.#parts;
    const startedAtMs = clock.nowMs();
    const { complete, pages, firstDifferingPage } = await store.verify();
    if (!complete) return false;
    const verifyMs = clock.nowMs() - startedAtMs;
    const ok = firstDifferingPage === null;
    emit({ kind: 'verify', epoch, side: 'backup', pages, verifyMs, ok, firstDifferingPage });
    if (ok) return true;
    throw new UnderstudyError(
      'E_VERIFY_REPLICA',
      `page ${firstDifferingPage} of the replica is not what was written there`,
      {
        hint: 'The backup is synchronised again. If this comes back, check this host for memory errors.',
        fields: { epoch, page: firstDifferingPage },
      },
    );
  }
}
