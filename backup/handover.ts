import { isUnderstudyError, UnderstudyError } from '../shared/errors.ts';
import type { Epoch, SessionId } from '../shared/ids.ts';
import type { Incoming } from '../shared/transport/control-channel.ts';
import type { ReplicaSession } from './session/replica-session.ts';
import type { ReplicaStore } from './store/replica-store.ts';
import type { WarmStandby } from './warm-standby.ts';

/**
 * Answers a primary that asks whether its guest could go on here: RAM is compared with what was
 * written, the standby is there. All of it beside the guest, before it is paused.
 */
export async function answerReadiness(
  store: ReplicaStore,
  standby: WarmStandby,
  session: ReplicaSession,
  incoming: Incoming,
): Promise<void> {
  try {
    await session.pageDigests();
    const { differingPages } = await store.verify();
    if (differingPages > 0 || store.holds() === null) {
      throw new UnderstudyError('E_SWITCHOVER_REFUSED', 'its replica is damaged', {
        hint: 'It is synchronised again; try once the guest is protected.',
      });
    }
    await standby.ready();
    incoming.answer({ kind: 'switchover-ready' });
  } catch (error) {
    if (!isUnderstudyError(error)) throw error;
    const { code, message, hint } = error;
    incoming.answer({ kind: 'refuse', code, message, hint });
  }
}

/** The primary's last word in a switchover, which waits for an answer. */
export class HandoverRequest {
  #incoming: Incoming | undefined;
  #refused: SessionId | undefined;

  came(incoming: Incoming): void {
    this.#incoming = incoming;
  }

  /**
   * The guest's input that comes of this session: forwarded after its primary's last word, and told
   * to nobody yet, or, where that was refused, told to the guest over there if it runs again.
   * Undefined where no such word came, or the guest goes on here.
   */
  inputOf(session: SessionId): 'for-here' | 'not-for-here' | undefined {
    if (this.#incoming?.session === session) return 'for-here';
    return this.#refused === session ? 'not-for-here' : undefined;
  }

  accept(epoch: Epoch): void {
    this.#take()?.answer({ kind: 'handed-over', epoch });
  }

  refuse(cause: string): void {
    this.#refused = this.#incoming?.session ?? this.#refused;
    this.#take()?.answer({
      kind: 'refuse',
      code: 'E_SWITCHOVER_REFUSED',
      message: `the backup does not go on with the guest: ${cause}`,
      hint: "The guest runs on where it was. See the backup's log.",
    });
  }

  #take(): Incoming | undefined {
    const incoming = this.#incoming;
    this.#incoming = undefined;
    return incoming;
  }
}
