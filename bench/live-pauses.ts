import { setTimeout as sleep } from 'node:timers/promises';
import { CaptureSlots } from '../primary/capture/capture-slots.ts';
import { type Checkpoint, takeCheckpoint } from '../primary/capture/checkpoint.ts';
import { LiveRounds } from '../primary/capture/live-rounds.ts';
import type { DirtyTracker } from '../primary/capture/tracker.ts';
import { WrittenPages } from '../primary/capture/written-pages.ts';
import { EpochEncoder } from '../primary/pipeline/epoch-encoder.ts';
import { monotonicClock } from '../shared/clock.ts';
import type { Guest } from '../shared/guest/guest.ts';
import { epoch } from '../shared/ids.ts';
import { SpanList } from '../shared/observe/spans.ts';
import { defaultEncoder } from './encoder-options.ts';

/** What one epoch cost, with live rounds or without. */
export interface PausedEpoch {
  readonly pauseMs: number;
  readonly dirtyPages: number;
  readonly pausedPages: number;
  readonly phasesMs: Checkpoint['phasesMs'];
  /** From the end of the pause until all is encoded. */
  readonly workAfterMs: number;
}

/** What is one number of each epoch. */
export type EpochNumber = Exclude<keyof PausedEpoch, 'phasesMs'>;

/** Live epochs, and those without, of one guest and one process. */
export interface PausePair {
  readonly live: PausedEpoch[];
  readonly none: PausedEpoch[];
}

/**
 * The capture of a session, by its own parts, with an encoder but without a stream: what is
 * encoded is dropped.
 */
export class LivePauses {
  readonly #guest: Guest;
  readonly #encoder: EpochEncoder;
  readonly #written: WrittenPages;
  readonly #slots: CaptureSlots;
  readonly #rounds: LiveRounds;
  #epoch = 0;

  /** `captureBytes`: all that the guest writes in an epoch, so that none overflows. */
  static async open(
    guest: Guest,
    tracker: DirtyTracker,
    captureBytes: number,
  ): Promise<LivePauses> {
    const { pageCount } = guest.memory;
    const encoder = await EpochEncoder.create({ ...defaultEncoder(pageCount), captureBytes });
    encoder.adoptZeros(0, pageCount);
    tracker.arm();
    return new LivePauses(guest, tracker, encoder);
  }

  private constructor(guest: Guest, tracker: DirtyTracker, encoder: EpochEncoder) {
    const { pageCount } = guest.memory;
    this.#guest = guest;
    this.#encoder = encoder;
    this.#written = new WrittenPages(tracker, pageCount);
    this.#slots = new CaptureSlots(guest.memory, { shards: [encoder], shardOf: () => 0 });
    this.#rounds = new LiveRounds(
      {
        ...{ written: this.#written, slots: this.#slots, clock: monotonicClock },
        spans: new SpanList(monotonicClock),
        roundsWanted: null,
        drain: async (count) => this.#encode(count),
      },
      pageCount,
    );
  }

  /** Epochs of `epochMs` in turn with and without live rounds; the first few do not count. */
  async measure(epochMs: number, countEach: number): Promise<PausePair> {
    const pair: PausePair = { live: [], none: [] };
    for (let turn = -2 * warmUpEach; turn < 2 * countEach; turn++) {
      const kind = turn % 2 === 0 ? 'live' : 'none';
      await sleep(epochMs);
      const taken = await this.#take(kind === 'live');
      if (turn >= 0) pair[kind].push(taken);
    }
    return pair;
  }

  async #take(isLive: boolean): Promise<PausedEpoch> {
    const guest = this.#guest;
    const [written, slots, rounds] = [this.#written, this.#slots, this.#rounds];
    this.#epoch += 1;
    this.#encoder.begin(epoch(this.#epoch));
    if (isLive && rounds.pay) await rounds.run();
    let dirtyPages = 0;
    const checkpoint = await takeCheckpoint({
      ...{ guest, written, slots, clock: monotonicClock, withBaseline: false },
      drain: () => Promise.reject(new Error('an epoch did not fit the buffer')),
      beforeForget: (pause) => {
        written.toCapture.addAll(written.candidates);
        dirtyPages = written.toCapture.size;
        if (isLive) rounds.paused(pause, dirtyPages);
      },
    });
    const resumedAt = performance.now();
    this.#encode(slots.count);
    const workAfterMs = performance.now() - resumedAt;
    slots.clear();
    this.#encoder.finish();
    const { pauseMs, phasesMs, copiedPages: pausedPages } = checkpoint;
    return { pauseMs, phasesMs, dirtyPages, pausedPages, workAfterMs };
  }

  #encode(count: number): void {
    for (const _ of this.#encoder.encode(count));
  }
}

const warmUpEach = 2;
