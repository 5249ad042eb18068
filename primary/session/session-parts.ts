import type { AlarmClock } from '../../shared/clock.ts';
import type { CodecSettings } from '../../shared/codec/codec-settings.ts';
import type { KnownRam } from '../../shared/codec/known-ram.ts';
import type { UnderstudyError } from '../../shared/errors.ts';
import type { Guest } from '../../shared/guest/guest.ts';
import type { EmitEvent } from '../../shared/observe/events.ts';
import type { About, ControlChannel } from '../../shared/transport/control-channel.ts';
import type { StreamSender } from '../../shared/transport/stream-sender.ts';
import type { DirtyTracker } from '../capture/tracker.ts';
import type { SessionDisks } from '../disk/session-disks.ts';
import type { EpochTaken } from '../epoch-timer.ts';
import type { GuestOutput } from '../parts.ts';
import type { CodecPolicy } from '../pipeline/codec-policy.ts';
import type { PageEncoder } from '../pipeline/page-encoder.ts';

/** What a session works with. */
export interface SessionParts {
  readonly about: About;
  readonly guest: Guest;
  readonly tracker: DirtyTracker;
  readonly encoder: PageEncoder;
  readonly sender: StreamSender;
  readonly control: ControlChannel;
  readonly output: Pick<GuestOutput, 'hold' | 'barrier'>;
  /** What page digests are computed by. */
  readonly codec: CodecSettings;
  /**
   * RAM that the backup holds and the guest went on from. The tracker knows all writes since, and
   * was never asked.
   */
  readonly base?: KnownRam | undefined;
  /** Where the general codec follows from what the link and the cores have to spare. */
  readonly codecs?: CodecPolicy | undefined;
  /** Where the guest has replicated disks. */
  readonly disks?: SessionDisks | undefined;
  readonly clock: AlarmClock;
  readonly emit: EmitEvent;
  /** A new baseline every so many epochs; 0: only at the start and after a reboot. */
  readonly baselineEveryEpochs: number;
  /** The guest's real RAM is compared with the index every so many epochs; 0: never. */
  readonly verifyEveryEpochs: number;
  /** Live rounds of each epoch; null: as many as pay. */
  readonly liveRounds: number | null;
  /** Publishing that takes longer than this slows the guest where it writes much meanwhile. */
  readonly brakeAfterMs: number;
  /** The guest stands still at a checkpoint's barrier: all that it has said belongs to it. */
  onBarrier(): void;
  /** The guest runs on after a checkpoint. */
  onPaused(taken: EpochTaken): void;
  /** The session can't go on, although nothing that was called has failed. */
  onFailed(error: UnderstudyError): void;
}
