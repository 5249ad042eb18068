import type { TermClaims } from '../shared/arbiter/term-claims.ts';
import type { AlarmClock } from '../shared/clock.ts';
import type { BlockBytes, BlockHash, GeneralCodec } from '../shared/codec/codec-settings.ts';
import type { KnownRam } from '../shared/codec/known-ram.ts';
import type { UnderstudyError } from '../shared/errors.ts';
import type { FoundGuest, Guest } from '../shared/guest/guest.ts';
import type { Epoch, SessionId } from '../shared/ids.ts';
import type { EmitEvent } from '../shared/observe/events.ts';
import type { Transport } from '../shared/transport/transport.ts';
import type { InputLogMessage } from '../shared/wire/input-body.ts';
import type { DirtyTracker } from './capture/tracker.ts';
import type { PrimaryDisks } from './disk/session-disks.ts';
import type { PaceLimits } from './epoch-pace.ts';
import type { BackupLossPolicy } from './machine.ts';
import type { CodecPolicy } from './pipeline/codec-policy.ts';
import type { PageEncoder } from './pipeline/page-encoder.ts';

/** Everything outside of it that a primary agent works with. */
export interface PrimaryParts {
  readonly guest: Guest;
  readonly tracker: DirtyTracker;
  readonly transport: Transport;
  readonly clock: AlarmClock;
  readonly emit: EmitEvent;
  /** Names and secrets of sessions are drawn from it. */
  readonly randomBytes: (count: number) => Uint8Array;
  /** 16 hex digits, drawn when the process started. */
  readonly agentId: string;
  readonly claims: TermClaims;
  /** As terms call this host: 16 hex digits. */
  readonly host: string;
  readonly output: GuestOutput;
  /** Where output waits for input to be logged. */
  readonly inputLog?: InputLogPort | undefined;
  /** Where input passes this agent. */
  readonly handover?: HandoverPort | undefined;
  /** Where the guest has replicated disks. */
  readonly disks?: PrimaryDisks | undefined;
  readonly settings: PrimarySettings;
  /** Where the general codec is chosen epoch by epoch. */
  readonly codecs?: CodecPolicy | undefined;
  /**
   * Fresh kernels whose hashes use `secret`, once those before are closed. `onFailed`: they can't
   * go on, and nobody waits for them who would be told.
   */
  openEncoder(secret: Uint8Array, onFailed: (error: UnderstudyError) => void): Promise<PageEncoder>;
  /** What the heartbeats say. */
  readonly progress: PrimaryProgress;
  readonly backup: BackupWatch;
  /** QEMU's process, for those who read the events. */
  readonly guestPid: number;
  /** A `new` or `paused` guest is resumed once it is known that it may run. */
  readonly found: FoundGuest;
  /**
   * What the guest went on from when it was taken over by this process, if the tracker knows of
   * every write since.
   */
  readonly base?: KnownRam | undefined;
  /** Ends a new guest that may not run. */
  discardHeldGuest(): Promise<void>;
}

/** False where another copy may have spoken since this was last asked, or may do so now. */
export type IsSure = () => boolean;

/** What the guest says to the world, as far as this agent is its way there. */
export interface GuestOutput {
  /** From now on output waits: called before the checkpoint that a protected term starts from. */
  hold(): void;
  /** The guest stands still for the checkpoint of `epoch`: what it said so far belongs to it. */
  barrier(epoch: Epoch): void;
  /**
   * The backup holds `epoch` in our protected term: what belongs to it goes out. Before each frame
   * `isSure` is asked; from the first no on the frames are dropped, as a network may.
   */
  acknowledged(epoch: Epoch, isSure?: IsSure): void;
  /** What is held waits for an epoch of the next session, which counts from 1 again. */
  sessionEnded(): void;
  /** A solo term is ours: everything goes out, at once. */
  releaseAll(): void;
  /** Another host may run the guest: nothing goes out any more. For good. */
  drop(): void;
}

/** The log of the guest's input, from this side. */
export interface InputLogPort {
  /** How a batch reaches the backup; it may be lost. */
  connect(send: (message: InputLogMessage) => void): void;
  /** The backup has the input of the open session up to `sequence`; a later call says it, too. */
  logged(sequence: number, isSure?: IsSure): void;
}

/** What comes for a guest that is being handed over; the end of the session ends it. */
export interface HandoverPort {
  /** The next pause of the guest is its last one here: what comes from then on is kept. */
  begin(): void;
  /** The backup was asked to go on from `epoch`: what comes is its to tell. A message may be lost. */
  forward(epoch: Epoch, send: (message: InputLogMessage) => void): void;
}

/** Signs of life of the backup. */
export interface BackupWatch {
  /** From now on only this agent's count, and its silence. */
  expect(agent: string, session: SessionId): void;
  onSilent(listener: () => void): () => void;
}

export interface PrimarySettings {
  readonly pace: PaceLimits;
  readonly windowBytes: number;
  readonly hash: BlockHash;
  readonly blockBytes: BlockBytes;
  readonly generalCodec: GeneralCodec;
  readonly baselineEveryEpochs: number;
  readonly verifyEveryEpochs: number;
  /** `continue` where it is not said. */
  readonly onBackupLost?: BackupLossPolicy;
  /** Live rounds of each epoch; null: as many as pay. */
  readonly liveRounds: number | null;
}
export interface PrimaryProgress {
  show(activity: 'held' | 'joining' | 'synchronising' | 'protecting' | 'solo' | 'leaving'): void;
  captured(epoch: Epoch): void;
  acked(epoch: Epoch): void;
}
