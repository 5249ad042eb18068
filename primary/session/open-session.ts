import type { KnownRam } from '../../shared/codec/known-ram.ts';
import type { UnderstudyError } from '../../shared/errors.ts';
import type { Guest } from '../../shared/guest/guest.ts';
import type { SessionId, Term } from '../../shared/ids.ts';
import type { About, ControlChannel } from '../../shared/transport/control-channel.ts';
import { defaultSendLimits } from '../../shared/transport/send-window.ts';
import { StreamSender } from '../../shared/transport/stream-sender.ts';
import { subjectsOf } from '../../shared/transport/subjects.ts';
import { guestHash, sessionBits } from '../../shared/wire/frame.ts';
import { openDisks } from '../disk/session-disks.ts';
import type { EpochTaken } from '../epoch-timer.ts';
import type { PrimaryParts } from '../parts.ts';
import { Session } from './session.ts';
import { sessionClosed } from './session-closed.ts';

/** What a backup has agreed to. */
export interface AgreedSession {
  readonly id: SessionId;
  readonly secret: Uint8Array;
  /** RAM that the backup holds, as it said. */
  readonly base: KnownRam | undefined;
  /** Undefined until its first task. */
  readonly session: Session | undefined;
}

export interface OpenSessionOptions {
  readonly guest: Guest;
  readonly about: About;
  readonly secret: Uint8Array;
  readonly base: KnownRam | undefined;
  readonly control: ControlChannel;
  /** The term may have changed while the kernels were made ready. */
  readonly term: () => Term;
  /** False once the agreement is void. */
  isWanted(): boolean;
  /** The session can't go on. */
  onBroken(error: UnderstudyError): void;
  onWarning(error: UnderstudyError): void;
  onBarrier(): void;
  onPaused(taken: EpochTaken): void;
}

/** A session with fresh kernels and a stream of its own. */
export async function openSession(
  parts: PrimaryParts,
  options: OpenSessionOptions,
): Promise<Session> {
  const { tracker, transport, clock, emit, settings, output } = parts;
  const { guest, about, secret, base, control } = options;
  const onFailed = (error: UnderstudyError): void => {
    options.onWarning(error);
    options.onBroken(error);
  };
  const encoder = await parts.openEncoder(secret, onFailed);
  // Closed meanwhile: it must not come back to life, or the agent would wait for its end.
  if (!options.isWanted()) {
    const why = sessionClosed('it ended while it was being opened');
    await encoder.close(why);
    throw why;
  }
  const subjects = subjectsOf(guest.name);
  const sender = new StreamSender({
    transport,
    dataSubject: subjects.data,
    creditSubject: subjects.credit,
    guest: guestHash(guest.name),
    session: sessionBits(about.session),
    term: options.term(),
    clock,
    limits: { ...defaultSendLimits, windowBytes: settings.windowBytes },
    onBroken: (error) => options.onBroken(error),
    onStalled: (error) => {
      if (error !== undefined) options.onWarning(error);
    },
  });
  const { baselineEveryEpochs, verifyEveryEpochs, liveRounds } = settings;
  const disks = openDisks(parts.disks, sender, settings, secret);
  const { hash, blockBytes } = settings;
  const codec = { pageCount: guest.memory.pageCount, blockBytes, hash, secret };
  return new Session({
    ...{ about, guest, tracker, encoder, sender, control, clock, emit, output },
    codecs: parts.codecs,
    ...{ codec, base, disks, baselineEveryEpochs, verifyEveryEpochs, liveRounds },
    brakeAfterMs: settings.pace.intervalMs,
    onBarrier: () => options.onBarrier(),
    onPaused: (taken) => options.onPaused(taken),
    onFailed,
  });
}
