import type { Epoch, SessionId } from '../shared/ids.ts';

/** What `machine.ts` works on: the primary's states, what happens to it, what it has done. */
export type PrimaryState =
  /** A term of our own is not won yet: output is held, unless the last one was solo. */
  | ({ readonly name: 'claiming'; readonly pauses?: true } & MayWait)
  /** By an operator's wish, and by the record: unprotected, and no backup is sought. */
  | { readonly name: 'paused' }
  /** The guest runs unprotected in a solo term; a backup is looked for. */
  | ({ readonly name: 'joining' } & MayWait)
  /** A backup has agreed to a session and is being brought level. */
  | ({ readonly name: 'synchronising'; readonly session: SessionId } & MayWait)
  /** The backup is level; the protected term is not won yet. */
  | ({ readonly name: 'enrolling'; readonly session: SessionId; readonly epoch: Epoch } & MayWait)
  | ProtectedState
  /**
   * A planned switchover: the guest stands still at `epoch`, its last one here. Once it is
   * acknowledged the backup is asked to go on; a term decides who does, whatever is heard.
   */
  | {
      readonly name: 'handing-over';
      readonly session: SessionId;
      readonly epoch: Epoch;
      readonly acked: boolean;
    }
  /** The guest is no longer ours to protect; the last messages are on their way. */
  | { readonly name: 'stopped'; readonly outcome: PrimaryOutcome };

/**
 * With the policy `stop` a guest whose backup was lost stands still, and what it said stays held,
 * until it is protected again or the operator lets it go on.
 */
export interface MayWait {
  readonly waits?: true;
}

/** What becomes of a protected guest whose backup is lost: `output.onBackupLost`. */
export type BackupLossPolicy = 'continue' | 'stop';

export interface ProtectedState {
  readonly name: 'protected';
  readonly session: SessionId;
  readonly captured: Epoch;
  readonly acked: Epoch;
  /** A checkpoint is being taken or published. */
  readonly busy: boolean;
  /** The interval has passed, but a checkpoint is not possible yet. */
  readonly due: boolean;
  /**
   * A switchover is wanted. One more checkpoint comes before the last one, so that the last one
   * finds little that was written since.
   */
  readonly switchover: 'no' | 'one-more' | 'last';
}

export type PrimaryOutcome =
  /** The operator asked the agent to end; the guest goes on, unprotected. */
  | { readonly kind: 'released' }
  /** The guest ended by itself or by its operator; there is nothing to take over. */
  | { readonly kind: 'guest-ended'; readonly reason: string }
  /** QEMU died: the backup is left to take over. */
  | { readonly kind: 'guest-lost'; readonly reason: string }
  /** Another copy of the guest has the right to run: ours was stopped. */
  | { readonly kind: 'superseded'; readonly by: string; readonly planned: boolean }
  /** The backup refuses for a reason that retrying can't mend. */
  | {
      readonly kind: 'refused';
      readonly code: string;
      readonly message: string;
      readonly hint: string;
    };

export type PrimaryEvent =
  | { readonly kind: 'start' }
  | { readonly kind: 'welcomed'; readonly session: SessionId }
  | {
      readonly kind: 'refused';
      readonly code: string;
      readonly message: string;
      readonly hint: string;
    }
  | { readonly kind: 'superseded'; readonly by: string }
  /** Our claim created the highest term. */
  | { readonly kind: 'term-won'; readonly mode: 'solo' | 'paused' }
  | { readonly kind: 'term-won'; readonly mode: 'protected'; readonly session: SessionId }
  | { readonly kind: 'synchronised'; readonly session: SessionId; readonly epoch: Epoch }
  | { readonly kind: 'interval-passed' }
  | { readonly kind: 'published'; readonly session: SessionId; readonly epoch: Epoch }
  | { readonly kind: 'acked'; readonly session: SessionId; readonly epoch: Epoch }
  /** The session can't go on: stream broken, epoch refused, backup silent, digests differ. */
  | { readonly kind: 'broken'; readonly session: SessionId; readonly cause: string }
  /** The operator wants the guest on the other host, which has said that it is ready. */
  | { readonly kind: 'switchover' }
  /** The backup will not go on, or has not said that it does: a term decides. */
  | { readonly kind: 'handover-failed'; readonly session: SessionId; readonly cause: string }
  | { readonly kind: 'guest-ended'; readonly reason: string }
  | { readonly kind: 'guest-lost'; readonly reason: string }
  /** An operator's wishes: see `operator-steps.ts`. */
  | { readonly kind: 'go-on' | 'pause' | 'resume' }
  | { readonly kind: 'stop' };

export type PrimaryEffect =
  /** Try to create the next term; claims are settled one after the other. */
  | { readonly kind: 'claim-solo'; readonly keepsPause: boolean }
  | { readonly kind: 'claim-paused' }
  | { readonly kind: 'claim-protected'; readonly session: SessionId; readonly epoch: Epoch }
  | { readonly kind: 'release-output'; readonly epoch: Epoch }
  /** Everything held goes out, and what comes goes out at once; the guest runs. */
  | { readonly kind: 'free-output' }
  /** Nothing goes out any more, what was held is forgotten. */
  | { readonly kind: 'drop-output' }
  /** Say HELLO, and again, until an answer comes. */
  | { readonly kind: 'greet' }
  | { readonly kind: 'synchronise'; readonly session: SessionId }
  | { readonly kind: 'start-interval' }
  /** That of a protected term's first epoch, which began with the checkpoint it rests on. */
  | { readonly kind: 'start-first-interval' }
  | { readonly kind: 'checkpoint'; readonly session: SessionId; readonly epoch: Epoch }
  /** A checkpoint after which the guest stays paused, until output is freed or it is stopped. */
  | { readonly kind: 'last-checkpoint'; readonly session: SessionId; readonly epoch: Epoch }
  /** Ask the backup to go on from `epoch`. */
  | { readonly kind: 'hand-over'; readonly session: SessionId; readonly epoch: Epoch }
  | { readonly kind: 'close-session'; readonly session: SessionId; readonly cause: string }
  /** Tell the backup that the silence to come is no death. */
  | { readonly kind: 'stand-down'; readonly reason: string }
  /** The guest stands still until `end-wait`. */
  | { readonly kind: 'wait-for-backup' }
  | { readonly kind: 'end-wait' }
  /** Stop our copy at once. */
  | { readonly kind: 'stop-guest' }
  | { readonly kind: 'finish'; readonly outcome: PrimaryOutcome };

export interface PrimaryStep {
  readonly state: PrimaryState;
  readonly effects: readonly PrimaryEffect[];
}
