import type { KnownRam } from '../../shared/codec/known-ram.ts';
import { asDigests } from '../../shared/codec/region-digest.ts';
import type { DirectIoMark } from '../../shared/guest/guest.ts';
import { type Epoch, epoch, type Term } from '../../shared/ids.ts';
import { SpanList } from '../../shared/observe/spans.ts';
import type { DiskDigestsRequest } from '../../shared/wire/disk-digest-body.ts';
import { CaptureSlots } from '../capture/capture-slots.ts';
import { addPause, type Checkpoint, takeCheckpoint } from '../capture/checkpoint.ts';
import { GuestBrake } from '../capture/guest-brake.ts';
import { type LiveResult, LiveRounds } from '../capture/live-rounds.ts';
import { WrittenPages } from '../capture/written-pages.ts';
import { type DiskLevelParts, levelDisks } from '../disk/disk-level.ts';
import { brakeShare } from '../epoch-pace.ts';
import { DigestQuestions } from './digest-questions.ts';
import { EpochCodecs } from './epoch-codecs.ts';
import { EpochPublisher } from './epoch-publisher.ts';
import { breathe, compareRam } from './level.ts';
import { MemoryAudit, verdictOf } from './memory-audit.ts';
import { ReplicaCheck, type ReplicaVerdict } from './replica-check.ts';
import { ReplicaComparison } from './replica-comparison.ts';
import { sessionClosed } from './session-closed.ts';
import type { SessionParts } from './session-parts.ts';

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
  /** As of the last epoch. */
  #ramDigest = 0n;

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
   * Brings the backup level: what differs is found while the guest runs and sent in live rounds,
   * and the first checkpoint closes the epoch. Returns once it is sent.
   */
  async synchronise(): Promise<Epoch> {
    const { base, clock, emit, about } = this.#parts;
    const written = this.#written;
    const startedAtMs = clock.nowMs();
    const first = epoch(1);
    // First of all: it takes longest, and what the guest changes meanwhile is under way already.
    const disks = this.#levelParts();
    if (disks !== undefined) await levelDisks(disks);
    await (base === undefined ? this.#compare() : this.#goOnFrom(base));
    const pages = written.toCapture.size;
    const { session } = about;
    const found = { session, pages, by: base === undefined ? 'digests' : 'handover' } as const;
    emit({ kind: 'sync', phase: 'started', ...found, bytes: 0, syncMs: 0 });

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
    emit({ kind: 'sync', phase: 'done', ...found, bytes: wireBytes, syncMs });
    return first;
  }

  /** Finds what differs by digests of both sides' RAM. */
  async #compare(): Promise<void> {
    const { guest, encoder, clock } = this.#parts;
    const { memory } = guest;
    this.#written.arm();
    // Arming may have met pages in the middle of direct I/O. From this pause on it is exact.
    await this.#collectPaused();
    const peer = this.#questions.peerDigests(memory.pageCount);
    const { signal } = this.#closed;
    const differing = await compareRam(memory, this.#slots, encoder, peer, clock, signal);
    this.#written.toCapture.addAll(differing);
  }

  /** What differs is what was written since: nothing is read, on either side. */
  async #goOnFrom({ pageDigests }: KnownRam): Promise<void> {
    await this.#parts.encoder.adoptDigests(pageDigests);
    await this.#scanLiveFrom();
    this.#written.scanLive();
  }

  /**
   * Takes checkpoint `number` and publishes it. Returns once everything is in the stream.
   * `staysPaused`: the guest is to go on elsewhere, or here when that fails.
   */
  async checkpoint(number: Epoch, options: { readonly staysPaused?: boolean } = {}): Promise<void> {
    const { verifyEveryEpochs, base, clock } = this.#parts;
    // Nobody has read the RAM of a session that went on from a base: now it does no harm.
    const isDue = verifyEveryEpochs > 0 && number % verifyEveryEpochs === 0;
    const verifies = isDue || (base !== undefined && number === 2);
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

  /** RAM of the last checkpoint. */
  async known(): Promise<KnownRam> {
    const { encoder, codec } = this.#parts;
    const pageDigests = asDigests((await encoder.pageDigests(0, codec.pageCount)).slice());
    return { settings: codec, pageDigests, ramDigest: this.#ramDigest };
  }

  /** False where the guest's RAM was written to since the last checkpoint. */
  isUntouched(): boolean {
    this.#written.scanPaused();
    return this.#written.toCapture.size === 0;
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
      beforeForget: (pause) => {
        this.#audit.settle(written.candidates);
        this.#audit.settle(written.toCapture);
        written.toCapture.addAll(written.candidates);
        dirtyPages = written.toCapture.size;
        live = this.#rounds.paused(pause, dirtyPages);
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
      this.#ramDigest = ramDigest;
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
    const theirChanges = (disk: number, when: 'before' | 'now') =>
      this.#questions.knownChanges(disk, when === 'now');
    const closed = this.#closed.signal;
    const { session } = this.#parts.about;
    const asked = { ask, theirChanges, session, clock, emit, closed };
    return { server, stream, settings, bytesPerSecond, ...asked };
  }

  async #auditSlice(): Promise<void> {
    const { clock, emit } = this.#parts;
    const startedAtMs = clock.nowMs();
    const done = await this.#audit.slice();
    this.#spans.end('audit', startedAtMs);
    if (done === undefined) return;
    const verdict = verdictOf(done, clock.nowMs());
    emit(verdict);
    if (!verdict.ok) throw this.#audit.failure(done);
  }
}
