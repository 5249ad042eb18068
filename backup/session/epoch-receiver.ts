import type { Clock } from '../../shared/clock.ts';
import { EpochDigest } from '../../shared/codec/digest.ts';
import { UnderstudyError } from '../../shared/errors.ts';
import { type Epoch, epoch } from '../../shared/ids.ts';
import { type Span, SpanList } from '../../shared/observe/spans.ts';
import type { About } from '../../shared/transport/control-channel.ts';
import { type Frame, frameHeaderBytes } from '../../shared/wire/frame.ts';
import { PartList } from '../../shared/wire/part-list.ts';
import {
  type Begin,
  type Commit,
  decodeStreamBody,
  type StreamMessage,
} from '../../shared/wire/stream-body.ts';
import type { EpochDecoder } from '../decode/epoch-decoder.ts';
import type { ReplicaStore } from '../store/replica-store.ts';

/** An epoch that is applied and will survive a crash of this process. */
export interface CommittedEpoch {
  readonly epoch: Epoch;
  readonly ramDigest: bigint;
  readonly pages: number;
  /** Bytes of all its frames, headers included. */
  readonly bytes: number;
  readonly applyMs: number;
  readonly spans: readonly Span[];
}

/**
 * Assembles epochs from the frames of one session's stream, in order, and commits them to the
 * store. Any error leaves the store at its last whole epoch and the session unusable.
 */
export class EpochReceiver {
  readonly #about: About;
  readonly #store: ReplicaStore;
  readonly #decoder: EpochDecoder;
  readonly #clock: Clock;
  readonly #spans: SpanList;
  readonly #digest = new EpochDigest();
  #open: OpenEpoch | undefined;
  #committed: Epoch = epoch(0);

  constructor(about: About, store: ReplicaStore, decoder: EpochDecoder, clock: Clock) {
    this.#about = about;
    this.#store = store;
    this.#decoder = decoder;
    this.#clock = clock;
    this.#spans = new SpanList(clock);
  }

  /** Takes the next frame. Returns what it committed, if it was an epoch's last. */
  async handle(frame: Frame): Promise<CommittedEpoch | undefined> {
    const kind = frame.kind as StreamMessage['kind'];
    const message = decodeStreamBody(kind, frame.body);
    if (message.kind === 'begin') {
      this.#begin(frame.epoch, message);
    }
    if (message.kind === 'disk') {
      // Those of the epochs to come run ahead of them.
      const ahead = frame.epoch - this.#committed;
      if (ahead < 1 || ahead > diskEpochsAheadMax) {
        throw outOfPlace(`disk changes of epoch ${frame.epoch} after epoch ${this.#committed}`);
      }
      await this.#store.disks.add(frame.epoch, message.payload);
      return undefined;
    }
    const open = this.#open;
    if (open === undefined || open.epoch !== frame.epoch) {
      throw outOfPlace(`a ${kind} frame of epoch ${frame.epoch} outside that epoch`);
    }
    if (message.kind === 'commit') return await this.#commit(open, message);
    this.#digest.update(frame.body);
    open.bodyBytes += frame.body.byteLength;
    open.frameCount += 1;
    switch (message.kind) {
      case 'begin':
        return undefined;
      case 'chunk': {
        const startedAtMs = this.#clock.nowMs();
        open.chunkCount += 1;
        open.pages += this.#decoder.decode(message.payload, this.#store, this.#store);
        this.#spans.end('decode', startedAtMs);
        return undefined;
      }
      case 'baseline':
        open.baseline ??= new PartList('baseline');
        open.baseline.add(message);
        return undefined;
      case 'device':
        open.device.add(message);
        return undefined;
      case 'disk-seal':
        this.#store.setDiskSeal(message);
        return undefined;
      case 'abort':
        this.#store.abort();
        this.#spans.take();
        this.#open = undefined;
        return undefined;
    }
  }

  /** Drops an epoch that is not whole. */
  close(): void {
    this.#store.abort();
    this.#open = undefined;
  }

  #begin(number: Epoch, message: Begin): void {
    if (this.#open !== undefined) throw outOfPlace(`epoch ${number} begins inside another`);
    const first = message.epochKind === 'sync';
    if (number !== this.#committed + 1 || first !== (number === 1)) {
      throw outOfPlace(`epoch ${number} (${message.epochKind}) after epoch ${this.#committed}`);
    }
    this.#digest.reset();
    this.#open = {
      epoch: number,
      begunAtMs: this.#clock.nowMs(),
      device: new PartList('device'),
      baseline: undefined,
      chunkCount: 0,
      frameCount: 0,
      bodyBytes: 0,
      pages: 0,
    };
    this.#store.begin({ ...this.#about, epoch: number, kind: message.epochKind });
  }

  async #commit(open: OpenEpoch, commit: Commit): Promise<CommittedEpoch> {
    const whole =
      commit.chunkCount === open.chunkCount &&
      commit.bytes === open.bodyBytes &&
      commit.epochDigest === this.#digest.value() &&
      open.device.complete &&
      (open.baseline?.complete ?? true);
    if (!whole) throw outOfPlace(`epoch ${open.epoch} is not what its commit says`);
    const startedAt = this.#clock.nowMs();
    this.#spans.end('receive', open.begunAtMs);
    this.#store.setDeviceState(open.device.bytes());
    if (open.baseline !== undefined) this.#store.setBaseline(open.baseline.bytes());
    await this.#store.commit({ ramDigest: commit.ramDigest });
    this.#open = undefined;
    this.#committed = open.epoch;
    return {
      epoch: open.epoch,
      ramDigest: commit.ramDigest,
      pages: open.pages,
      bytes: open.bodyBytes + (open.frameCount + 1) * frameHeaderBytes,
      applyMs: this.#spans.end('apply', startedAt),
      spans: this.#spans.take(),
    };
  }
}

/** More epochs than a primary has under way. */
const diskEpochsAheadMax = 8;

interface OpenEpoch {
  readonly epoch: Epoch;
  readonly begunAtMs: number;
  readonly device: PartList;
  baseline: PartList | undefined;
  chunkCount: number;
  frameCount: number;
  bodyBytes: number;
  pages: number;
}

function outOfPlace(message: string): UnderstudyError {
  return new UnderstudyError('E_EPOCH_CORRUPT', message, {
    hint: 'The session is closed and the backup synchronised again; nothing was applied.',
  });
}
