import type { AlarmClock } from '../../shared/clock.ts';
import { UnderstudyError } from '../../shared/errors.ts';
import type { DirectIoMark, Guest } from '../../shared/guest/guest.ts';
import { type Epoch, epoch, type Term } from '../../shared/ids.ts';
import type { EmitEvent } from '../../shared/observe/events.ts';
import { SpanList } from '../../shared/observe/spans.ts';
import type { About, ControlChannel } from '../../shared/transport/control-channel.ts';
import type { StreamSender } from '../../shared/transport/stream-sender.ts';
import type { DiskDigestsRequest } from '../../shared/wire/disk-digest-body.ts';
import { CaptureSlots } from '../capture/capture-slots.ts';
import { addPause, type Checkpoint, takeCheckpoint } from '../capture/checkpoint.ts';
import { GuestBrake } from '../capture/guest-brake.ts';
import { type LiveResult, LiveRounds } from '../capture/live-rounds.ts';
import type { DirtyTracker } from '../capture/tracker.ts';
import { WrittenPages } from '../capture/written-pages.ts';
import { type DiskLevelParts, levelDisks } from '../disk/disk-level.ts';
import type { SessionDisks } from '../disk/session-disks.ts';
import { brakeShare } from '../epoch-pace.ts';
import type { EpochTaken } from '../epoch-timer.ts';
import type { GuestOutput } from '../parts.ts';
import type { CodecPolicy } from '../pipeline/codec-policy.ts';
import type { PageEncoder } from '../pipeline/page-encoder.ts';
import { DigestQuestions } from './digest-questions.ts';
import { EpochCodecs } from './epoch-codecs.ts';
import { EpochPublisher } from './epoch-publisher.ts';
import { breathe, findDifferingPages, indexMemory } from './level.ts';
import { MemoryAudit } from './memory-audit.ts';
import { ReplicaCheck, type ReplicaVerdict } from './replica-check.ts';
import { ReplicaComparison } from './replica-comparison.ts';

export interface SessionParts {
  readonly about: About;
  readonly guest: Guest;
  readonly tracker: DirtyTracker;
  readonly encoder: PageEncoder;
  readonly sender: StreamSender;
  readonly control: ControlChannel;
  readonly output: Pick<GuestOutput, 'hold' | 'barrier'>;
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

/** Live rounds of a synchronisation end when so few pages are left, or after so many rounds. */
const finalRoundPagesMax = 4096;
const liveRoundsMax = 8;
/**
 * One session of protection: brings the backup level, then publishes epoch after epoch.
 * Everything throws once `close` was called; nothing of a closed session is used again.
 */
export class Session {
  readonly #parts: SessionParts;
  readonly #publisher: EpochPublisher;
  readonly #closed = new AbortController();
  readonly #questions: DigestQuestions;
  /** Invariant: a page that the guest wrote is to be captured, in a slot, or in the stream. */
  readonly #written: WrittenPages;
  readonly #slots: CaptureSlots;
  readonly #rounds: LiveRounds;
  readonly #brake: GuestBrake;
  /** As it was before the first live scan since the last checkpoint; undefined: there was none. */
  #directIoBefore: DirectIoMark | undefined;
  #acked = epoch(0);
  /** Called where there may be room for another epoch, or none is wanted any more. */
  #onRoom = () => {};
  readonly #capturedAtMs = new Map<Epoch, number>();
  readonly #audit: MemoryAudit;
  readonly #comparison: ReplicaComparison;
  readonly #check: ReplicaCheck;
  readonly #spans: SpanList;
  readonly #codecs: EpochCodecs | undefined;
  #baselineDue = true;

  constructor(parts: SessionParts) {
    this.#parts = parts;
    const { memory } = parts.guest;
    const { clock } = parts;
    this.#spans = new SpanList(clock);
    this.#codecs = parts.codecs && new EpochCodecs(parts.codecs, parts.emit);
    this.#questions = new DigestQuestions({ ...parts, closed: this.#closed.signal });
    this.#publisher = new EpochPublisher(parts.encoder, parts.sender, clock, this.#spans);
    this.#written = new WrittenPages(parts.tracker, memory.pageCount);
    this.#slots = new CaptureSlots(memory, parts.encoder);
    const roundsParts = {
      ...{ written: this.#written, slots: this.#slots, clock, spans: this.#spans },
      roundsWanted: parts.liveRounds,
      drain: () => this.#drain(),
    };
    this.#rounds = new LiveRounds(roundsParts, memory.pageCount);
    this.#brake = new GuestBrake({
      ...{ guest: parts.guest, clock, spans: this.#spans, graceMs: parts.brakeAfterMs },
      share: async () => brakeShare((await this.look()) ?? 0, this.#slots.capacityPages),
    });
    this.#comparison = new ReplicaComparison({
      ...parts,
      closed: this.#closed.signal,
      pageCount: parts.guest.memory.pageCount,
      onDiffers: (error) => parts.onFailed(error),
    });
    this.#check = new ReplicaCheck({
      ...{ comparison: this.#comparison, closed: this.#closed.signal },
      disks: () => this.#levelParts(),
    });
    this.#audit = new MemoryAudit(memory, this.#slots, parts.encoder);
  }

  /**
   * Brings the backup level: both sides' digests are compared while the guest runs, what differs
   * is sent in live rounds, and the first checkpoint closes the epoch. Returns once it is sent.
   */
  async synchronise(): Promise<Epoch> {
    const { guest, encoder, clock, emit, about } = this.#parts;
    const written = this.#written;
    const startedAtMs = clock.nowMs();
    const first = epoch(1);
    // First of all: it takes longest, and what the guest changes meanwhile is under way already.
    const disks = this.#levelParts();
    if (disks !== undefined) await levelDisks(disks);
    written.arm();
    // Arming may have met pages in the middle of direct I/O. From this pause on it is exact.
    await this.#collectPaused();
    await indexMemory(guest.memory, this.#slots, encoder, clock, this.#closed.signal);
    const pageCount = guest.memory.pageCount;
    const differing = await findDifferingPages(
      pageCount,
      encoder,
      this.#questions.peerDigests(pageCount),
    );
    encoder.forget(differing);
    written.toCapture.addAll(differing);
    const pages = written.toCapture.size;
    const { session } = about;
    emit({ kind: 'sync', phase: 'started', session, pages, bytes: 0, syncMs: 0 });

    await this.#publisher.begin(first, 'sync', epoch(0), this.#codecs?.begin(clock.nowMs()));
    for (let round = 0; round < liveRoundsMax; round++) {
      if (written.toCapture.size <= finalRoundPagesMax) break;
      await this.#slots.capture(written.toCapture, () => this.#drain());
      written.toCapture.clear();
      await this.#drainSlots();
      await this.#collectPaused();
    }
    // From this checkpoint on the backup may resume the guest, once the protected term is there.
    this.#parts.output.hold();
    const wireBytes = await this.#closeEpoch(first);
    const syncMs = clock.nowMs() - startedAtMs;
    emit({ kind: 'sync', phase: 'done', session, pages, bytes: wireBytes, syncMs });
    return first;
  }

  /**
   * Takes checkpoint `number` and publishes it. Returns once everything is in the stream.
   * `staysPaused`: the guest is to go on elsewhere, or here when that fails.
   */
  async checkpoint(number: Epoch, options: { readonly staysPaused?: boolean } = {}): Promise<void> {
    const { verifyEveryEpochs, clock } = this.#parts;
    const verifies = verifyEveryEpochs > 0 && number % verifyEveryEpochs === 0;
    this.#check.begin(number, verifies);
    const choice = this.#codecs?.begin(clock.nowMs());
    await this.#publisher.begin(number, 'delta', epoch(number - 1), choice);
    await this.#closeEpoch(number, options.staysPaused);
    if (verifies) this.#audit.begin(number, clock.nowMs());
    await breathe(this.#parts.clock, this.#closed.signal);
    await this.#auditSlice();
  }

  /**
   * Waits until the backup has acknowledged all but the newest epoch; until then no checkpoint
   * may be taken, and a guest that writes too much is slowed down.
   */
  async room(newest: Epoch): Promise<void> {
    const { signal } = this.#closed;
    if (this.#acked >= newest - 1) return;
    const acked = new Promise<void>((resolve) => {
      this.#onRoom = () => {
        if (this.#acked >= newest - 1 || signal.aborted) resolve();
      };
    });
    await this.#brake.during(acked);
    signal.throwIfAborted();
  }

  /**
   * Looks at the running guest: how many pages are to be captured by now. undefined where such a
   * look is dear. The next checkpoint knows what was found.
   */
  async look(): Promise<number | undefined> {
    if (!this.#rounds.looksPay) return undefined;
    const startedAtMs = this.#parts.clock.nowMs();
    await this.#scanLiveFrom();
    this.#closed.signal.throwIfAborted();
    this.#written.scanLive();
    this.#spans.end('look', startedAtMs);
    return this.#written.toCapture.size;
  }

  /** Compares the backup's RAM and disks with the guest's, beside it. */
  async verify(): Promise<ReplicaVerdict> {
    return await this.#check.run();
  }

  /** Returns the time from the checkpoint's pause to now, or undefined for an unknown epoch. */
  acknowledged(number: Epoch): number | undefined {
    const at = this.#capturedAtMs.get(number);
    for (const earlier of this.#capturedAtMs.keys()) {
      if (earlier <= number) this.#capturedAtMs.delete(earlier);
    }
    this.#check.acknowledged(number);
    this.#parts.disks?.server.acked(this.#parts.about.session, number);
    if (number > this.#acked) this.#acked = number;
    this.#codecs?.acknowledged(number, this.#parts.clock.nowMs());
    this.#onRoom();
    return at === undefined ? undefined : this.#parts.clock.nowMs() - at;
  }

  /** The backup is enrolled: frames carry the protected term from now on. */
  enterTerm(number: Term): void {
    this.#parts.sender.term = number;
    this.#parts.control.raise(number);
  }

  /** The guest rebooted: RAM blocks outside the RAM file are sent anew with the next epoch. */
  baselineChanged(): void {
    this.#baselineDue = true;
  }

  close(cause: string): void {
    const why = sessionClosed(cause);
    this.#closed.abort(why);
    this.#onRoom();
    this.#parts.sender.close();
    this.#parts.encoder.close(why);
    this.#parts.disks?.stream.close();
  }

  /** Live rounds, the paused part, and all that follows it: returns the epoch's wire bytes. */
  async #closeEpoch(number: Epoch, staysPaused = false): Promise<number> {
    const { guest, clock, emit, baselineEveryEpochs, output, disks } = this.#parts;
    const { signal } = this.#closed;
    const written = this.#written;
    signal.throwIfAborted();
    const periodic = baselineEveryEpochs > 0 && number % baselineEveryEpochs === 0;
    if (this.#rounds.pay) {
      await this.#scanLiveFrom();
      await this.#rounds.run();
    }
    signal.throwIfAborted();
    const directIoBefore = this.#directIoBefore;
    let dirtyPages = 0;
    let live: LiveResult = { rounds: 0, pages: 0 };
    const checkpoint = await takeCheckpoint({
      ...{ guest, clock, written, slots: this.#slots, staysPaused },
      ...(directIoBefore === undefined ? {} : { directIoBefore }),
      withBaseline: this.#baselineDue || periodic,
      drain: () => this.#drain(),
      beforeResume: () => {
        output.barrier(number);
        disks?.stream.barrier(number);
        this.#check.captured(number);
        this.#parts.onBarrier();
      },
      beforeForget: (scanned, scanMs) => {
        this.#audit.settle(written.candidates);
        this.#audit.settle(written.toCapture);
        written.toCapture.addAll(written.candidates);
        dirtyPages = written.toCapture.size;
        live = this.#rounds.paused(scanned, scanMs, dirtyPages);
        this.#directIoBefore = undefined;
      },
    });
    const { pauseMs } = checkpoint;
    addPause(this.#spans, checkpoint);
    const { capacityPages } = this.#slots;
    this.#parts.onPaused({ pauseMs, pages: dirtyPages, capacityPages });
    this.#capturedAtMs.set(number, checkpoint.pausedAtMs);
    signal.throwIfAborted();
    // A guest that is handed over stands still until it runs elsewhere: no brake lets it go.
    const sending = this.#sendRest(number, checkpoint);
    await (staysPaused ? sending : this.#brake.during(sending));
    await this.#comparison.encoded(number);
    let epochBytes = 0;
    await this.#publisher.commit(({ stats, ramDigest, wireBytes, encodeMs }) => {
      epochBytes = wireBytes;
      this.#codecs?.sent(number, wireBytes, stats, clock.nowMs());
      emit({
        kind: 'epoch',
        epoch: number,
        pausedAtMs: checkpoint.pausedAtMs,
        pauseMs,
        phasesMs: { ...checkpoint.phasesMs },
        dirtyPages,
        liveRounds: live.rounds,
        livePages: live.pages,
        pausedPages: checkpoint.copiedPages,
        changedPages: stats.changedPages,
        changedBlocks: stats.changedBlocks,
        sharedBlocks: stats.sharedBlocks,
        encodeMs,
        wireBytes,
        pageBytes: dirtyPages * 4096,
        ramDigest: ramDigest.toString(16).padStart(16, '0'),
      });
      // With the event above: an events file has one write for both, and then goes COMMIT.
      emit({ kind: 'spans', epoch: number, spans: this.#spans.take() });
    });
    return epochBytes;
  }

  /** What the checkpoint left to be sent. */
  async #sendRest(number: Epoch, { baseline, deviceState }: Checkpoint): Promise<void> {
    const { disks } = this.#parts;
    await this.#drainSlots();
    if (baseline !== undefined) {
      await this.#publisher.sendParts('baseline', baseline);
      this.#baselineDue = false;
    }
    await this.#publisher.sendParts('device', deviceState);
    if (disks !== undefined) await this.#publisher.sendDiskSeal(await disks.stream.seal(number));
  }

  /** Before a live scan: a request that is under way at it is counted when it ends. */
  async #scanLiveFrom(): Promise<void> {
    this.#directIoBefore ??= await this.#parts.guest.directIoMark();
  }

  /** Encodes and sends what is in the slots. */
  async #drain(): Promise<void> {
    await this.#publisher.drain(this.#slots.counts);
    this.#closed.signal.throwIfAborted();
  }

  async #drainSlots(): Promise<void> {
    await this.#drain();
    this.#slots.clear();
  }

  /** A pause of a stop and a scan: exact, also for pages under direct I/O. */
  async #collectPaused(): Promise<void> {
    const { guest } = this.#parts;
    try {
      await guest.pause();
      this.#written.scanPaused();
    } finally {
      await guest.resume();
    }
    this.#closed.signal.throwIfAborted();
  }

  #levelParts(): DiskLevelParts | undefined {
    const { disks, clock, emit } = this.#parts;
    if (disks === undefined) return undefined;
    const { server, stream, settings, bytesPerSecond } = disks;
    const ask = (request: DiskDigestsRequest) => this.#questions.ask(request, 'disk-digests');
    const theirChanges = (disk: number) => this.#questions.knownChanges(disk);
    const closed = this.#closed.signal;
    return { server, stream, settings, bytesPerSecond, ask, theirChanges, clock, emit, closed };
  }

  async #auditSlice(): Promise<void> {
    const { clock, emit } = this.#parts;
    const startedAtMs = clock.nowMs();
    const done = await this.#audit.slice();
    this.#spans.end('audit', startedAtMs);
    if (done === undefined) return;
    const verifyMs = clock.nowMs() - done.startedAtMs;
    const { pages, firstDifferingPage } = done;
    const ok = firstDifferingPage === null;
    const about = { epoch: done.epoch, side: 'primary' as const };
    emit({ kind: 'verify', ...about, pages, verifyMs, ok, firstDifferingPage });
    if (!ok) throw this.#audit.failure(done);
  }
}

/** `E_SESSION_CLOSED`: what everything throws that is asked of a session that is over. */
export function sessionClosed(cause: string): UnderstudyError {
  return new UnderstudyError('E_SESSION_CLOSED', `the session is closed: ${cause}`, {
    hint: 'The next session brings the backup level; nothing has to be done.',
  });
}
