import { UnderstudyError } from '../shared/errors.ts';
import type { PrimaryState } from './machine.ts';
import type { ReplicaVerdict } from './session/replica-check.ts';
import type { Session } from './session/session.ts';

/** Compares the backup with the guest. Throws `E_VERIFY_UNPROTECTED` where there is none to. */
export async function verifyReplica(
  state: PrimaryState['name'],
  session: Session | undefined,
): Promise<ReplicaVerdict> {
  if (state === 'protected' && session !== undefined) return await session.verify();
  throw new UnderstudyError('E_VERIFY_UNPROTECTED', `the guest is not protected (${state})`, {
    hint: 'There is no backup to compare with. Try again when `understudy status` says protected.',
  });
}

/**
 * A comparison that its operator asks for again and again until it is done: it may take longer than
 * an answer on the socket may.
 */
export class AskedVerification {
  readonly #verify: () => Promise<ReplicaVerdict>;
  #running: Running | undefined;

  constructor(verify: () => Promise<ReplicaVerdict>) {
    this.#verify = verify;
  }

  /** Begins one, or looks at the one under way: null until it is done. Throws what it threw. */
  async look(): Promise<{ readonly verdict: ReplicaVerdict | null }> {
    const known = this.#running;
    const isForgotten =
      known?.outcome !== undefined && performance.now() > known.endedAtMs + keptMs;
    if (known === undefined || isForgotten) {
      this.#begin();
      return { verdict: null };
    }
    if (known.outcome === undefined) return { verdict: null };
    this.#running = undefined;
    return { verdict: known.outcome() };
  }

  #begin(): void {
    const running: Running = { outcome: undefined, endedAtMs: 0 };
    this.#running = running;
    const end = (outcome: () => ReplicaVerdict): void => {
      running.outcome = outcome;
      running.endedAtMs = performance.now();
    };
    this.#verify().then(
      (verdict) => end(() => verdict),
      (error: unknown) =>
        end(() => {
          throw error;
        }),
    );
  }
}

interface Running {
  /** Undefined until it has ended. */
  outcome: (() => ReplicaVerdict) | undefined;
  endedAtMs: number;
}

/** Who asked for an outcome and does not fetch it within so long has gone. */
const keptMs = 5000;
