import type { AlarmClock } from '../../shared/clock.ts';
import type { PageDigester } from '../../shared/codec/page-digester.ts';
import { regionCountOf } from '../../shared/codec/region-digest.ts';
import { isUnderstudyError, UnderstudyError } from '../../shared/errors.ts';
import type { Guest } from '../../shared/guest/guest.ts';
import { type Epoch, epoch, type Term } from '../../shared/ids.ts';
import type { EmitEvent } from '../../shared/observe/events.ts';
import { PageSet } from '../../shared/page-set.ts';
import type { About, ControlChannel } from '../../shared/transport/control-channel.ts';
import type { StreamSender } from '../../shared/transport/stream-sender.ts';
import { takeCheckpoint } from '../capture/checkpoint.ts';
import type { DirtyTracker } from '../capture/tracker.ts';
import type { GuestOutput } from '../parts.ts';
import type { EpochEncoder } from '../pipeline/epoch-encoder.ts';
import { EpochPublisher } from './epoch-publisher.ts';
import { breathe, findDifferingPages, indexMemory, type PeerDigests } from './level.ts';
import { MemoryAudit } from './memory-audit.ts';
import { ReplicaComparison } from './replica-comparison.ts';

export interface SessionParts {
  readonly about: About;
  readonly guest: Guest;
  readonly tracker: DirtyTracker;
  readonly encoder: EpochEncoder;
  readonly digester: PageDigester;
  readonly sender: StreamSender;
  readonly control: ControlChannel;
  readonly output: Pick<GuestOutput, 'hold' | 'barrier'>;
  readonly clock: AlarmClock;
  readonly emit: EmitEvent;
  /** A new baseline every so many epochs; 0: only at the start and after a reboot. */
  readonly baselineEveryEpochs: number;
  /** The guest's real RAM is compared with the index every so many epochs; 0: never. */
  readonly verifyEveryEpochs: number;
  /** The session can't go on, although nothing that was called has failed. */
  onFailed(error: UnderstudyError): void;
}

/** Live rounds of a synchronisation end when so few pages are left, or after so many rounds. */
const finalRoundPagesMax = 4096;
const liveRoundsMax = 8;
/**
 * A question about digests, or its answer, may be lost: it is asked again, and waited for longer
 * each time, because a backup digests its whole RAM before it answers the first one.
 */
const digestsTimeoutsMs = [2000, 4000, 8000, 16_000, 32_000];

/**
 * One session of protection: brings the backup level, then publishes epoch after epoch.
 * Everything throws once `close` was called; nothing of a closed session is used again.
 */
export class Session {
  readonly #parts: SessionParts;
  readonly #publisher: EpochPublisher;
  readonly #closed = new AbortController();
  /** Rejects when the session is closed. */
  readonly #whenClosed: Promise<never>;
  /** Invariant: a page that the guest wrote is in here, or in the buffer, or in the stream. */
  readonly #dirty: PageSet;
  readonly #capturedAtMs = new Map<Epoch, number>();
  readonly #audit: MemoryAudit;
  readonly #comparison: ReplicaComparison;
  #baselineDue = true;
  /** Pages that the open epoch sent before its checkpoint. */
  #livePages = 0;

  constructor(parts: SessionParts) {
    this.#parts = parts;
    const { signal } = this.#closed;
    this.#whenClosed = new Promise((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    this.#whenClosed.catch(() => {});
    this.#dirty = new PageSet(parts.guest.memory.pageCount);
    this.#publisher = new EpochPublisher(parts.encoder, parts.sender, parts.clock);
    this.#comparison = new ReplicaComparison({
      ...parts,
      closed: this.#closed.signal,
      pageCount: parts.guest.memory.pageCount,
      onDiffers: (error) => parts.onFailed(error),
    });
    this.#audit = new MemoryAudit(parts.guest.memory, parts.encoder, parts.digester);
  }

  /**
   * Brings the backup level: both sides' digests are compared while the guest runs, what differs
   * is sent in live rounds, and the first checkpoint closes the epoch. Returns once it is sent.
   */
  async synchronise(): Promise<Epoch> {
    const { guest, tracker, encoder, clock, emit, about } = this.#parts;
    const startedAtMs = clock.nowMs();
    const first = epoch(1);
    tracker.arm();
    // Arming may have met pages in the middle of direct I/O. From this pause on it is exact.
    await this.#collectPaused();
    await indexMemory(guest.memory, encoder, clock, this.#closed.signal);
    const pageCount = guest.memory.pageCount;
    const differing = await findDifferingPages(pageCount, encoder, this.#askDigests());
    encoder.forget(differing);
    this.#dirty.addAll(differing);
    const pages = this.#dirty.size;
    const { session } = about;
    emit({ kind: 'sync', phase: 'started', session, pages, bytes: 0, syncMs: 0 });

    await this.#publisher.begin(first, 'sync', epoch(0));
    for (let round = 0; round < liveRoundsMax; round++) {
      if (this.#dirty.size <= finalRoundPagesMax) break;
      await this.#sendLive();
      await this.#collectPaused();
    }
    // From this checkpoint on the backup may resume the guest, once the protected term is there.
    this.#parts.output.hold();
    const wireBytes = await this.#closeEpoch(first);
    const syncMs = clock.nowMs() - startedAtMs;
    emit({ kind: 'sync', phase: 'done', session, pages, bytes: wireBytes, syncMs });
    return first;
  }

  /** Takes checkpoint `number` and publishes it. Returns once everything is in the stream. */
  async checkpoint(number: Epoch): Promise<void> {
    const { verifyEveryEpochs, clock } = this.#parts;
    const verifies = verifyEveryEpochs > 0 && number % verifyEveryEpochs === 0;
    if (verifies) this.#comparison.begin(number);
    await this.#publisher.begin(number, 'delta', epoch(number - 1));
    await this.#closeEpoch(number);
    if (verifies) this.#audit.begin(number, clock.nowMs());
    await breathe(this.#parts.clock, this.#closed.signal);
    this.#auditSlice();
  }

  /** Returns the time from the checkpoint's pause to now, or undefined for an unknown epoch. */
  acknowledged(number: Epoch): number | undefined {
    const at = this.#capturedAtMs.get(number);
    for (const earlier of this.#capturedAtMs.keys()) {
      if (earlier <= number) this.#capturedAtMs.delete(earlier);
    }
    this.#parts.encoder.acknowledged(number);
    return at === undefined ? undefined : this.#parts.clock.nowMs() - at;
  }

  /** The backup is enrolled: frames carry the protected term from now on. */
  enterTerm(number: Term): void {
    this.#parts.sender.term = number;
  }

  /** The guest rebooted: RAM blocks outside the RAM file are sent anew with the next epoch. */
  baselineChanged(): void {
    this.#baselineDue = true;
  }

  close(cause: string): void {
    this.#closed.abort(sessionClosed(cause));
    this.#parts.sender.close();
  }

  /** The paused part, and all that follows it: returns the epoch's bytes on the wire. */
  async #closeEpoch(number: Epoch): Promise<number> {
    const { guest, tracker, encoder, clock, emit, baselineEveryEpochs } = this.#parts;
    this.#closed.signal.throwIfAborted();
    const periodic = baselineEveryEpochs > 0 && number % baselineEveryEpochs === 0;
    const withBaseline = this.#baselineDue || periodic;
    const { output } = this.#parts;
    const checkpoint = await takeCheckpoint({
      guest,
      tracker,
      clock,
      buffer: encoder,
      dirty: this.#dirty,
      withBaseline,
      drain: (count) => this.#publisher.drain(count),
      beforeResume: () => output.barrier(number),
      beforeForget: (dirty) => this.#audit.settle(dirty),
    });
    this.#capturedAtMs.set(number, checkpoint.pausedAtMs);
    this.#closed.signal.throwIfAborted();
    await this.#publisher.drain(checkpoint.count);
    if (checkpoint.baseline !== undefined) {
      await this.#publisher.sendParts('baseline', checkpoint.baseline);
      this.#baselineDue = false;
    }
    await this.#publisher.sendParts('device', checkpoint.deviceState);
    this.#comparison.encoded(number);
    const dirtyPages = this.#livePages + checkpoint.dirtyPages;
    this.#livePages = 0;
    let epochBytes = 0;
    await this.#publisher.commit(({ stats, ramDigest, wireBytes, encodeMs }) => {
      epochBytes = wireBytes;
      emit({
        kind: 'epoch',
        epoch: number,
        pausedAtMs: checkpoint.pausedAtMs,
        pauseMs: checkpoint.pauseMs,
        phasesMs: { ...checkpoint.phasesMs },
        dirtyPages,
        changedPages: stats.changedPages,
        changedBlocks: stats.changedBlocks,
        sharedBlocks: stats.sharedBlocks,
        encodeMs,
        wireBytes,
        pageBytes: dirtyPages * 4096,
        ramDigest: ramDigest.toString(16).padStart(16, '0'),
      });
    });
    return epochBytes;
  }

  /** Copies and sends the dirty pages while the guest runs. What it writes meanwhile is tracked. */
  async #sendLive(): Promise<void> {
    const { guest, encoder } = this.#parts;
    const slots = encoder.capturePages.subarray(0, encoder.captureCapacityPages);
    for (;;) {
      const count = this.#dirty.take(0, slots);
      if (count === 0) return;
      guest.memory.copyPages(slots, count, encoder.captureBuffer, 0);
      for (let slot = 0; slot < count; slot++) this.#dirty.delete(slots[slot]!);
      this.#livePages += count;
      await this.#publisher.drain(count);
      await breathe(this.#parts.clock, this.#closed.signal);
    }
  }

  /** A pause of a stop and a scan: exact, also for pages under direct I/O. */
  async #collectPaused(): Promise<void> {
    const { guest, tracker } = this.#parts;
    try {
      await guest.pause();
      tracker.collect(this.#dirty);
    } finally {
      await guest.resume();
    }
    this.#closed.signal.throwIfAborted();
  }

  #auditSlice(): void {
    const { clock, emit } = this.#parts;
    const done = this.#audit.slice();
    if (done === undefined) return;
    const verifyMs = clock.nowMs() - done.startedAtMs;
    const { pages, firstDifferingPage } = done;
    const ok = firstDifferingPage === null;
    const about = { epoch: done.epoch, side: 'primary' as const };
    emit({ kind: 'verify', ...about, pages, verifyMs, ok, firstDifferingPage });
    if (!ok) throw this.#audit.failure(done);
  }

  #askDigests(): PeerDigests {
    const { control, about, guest } = this.#parts;
    const none = epoch(0);
    const ask = async (
      kind: 'region-digests' | 'page-digests',
      first: number,
      count: number,
    ): Promise<BigUint64Array> => {
      const request = { kind: `${kind}-request`, epoch: none, first, count } as const;
      for (let attempt = 0; ; attempt++) {
        const timeoutMs = digestsTimeoutsMs[attempt]!;
        const asked = control.ask(about, request, [kind], timeoutMs);
        try {
          const { digests } = await Promise.race([asked, this.#whenClosed]);
          if (digests.length !== count) throw new Error(`${digests.length} digests`);
          return digests;
        } catch (error) {
          const lost = isUnderstudyError(error, 'E_TRANSPORT_TIMEOUT');
          if (!lost || attempt + 1 >= digestsTimeoutsMs.length) throw error;
        }
      }
    };
    return {
      regions: () => ask('region-digests', 0, regionCountOf(guest.memory.pageCount)),
      pages: (first, count) => ask('page-digests', first, count),
    };
  }
}

function sessionClosed(cause: string): UnderstudyError {
  return new UnderstudyError('E_SESSION_CLOSED', `the session is closed: ${cause}`, {
    hint: 'The next session brings the backup level; nothing has to be done.',
  });
}
