import { type AlarmClock, turn } from '../../shared/clock.ts';
import { EpochDigest } from '../../shared/codec/digest.ts';
import type { Epoch } from '../../shared/ids.ts';
import type { SpanList } from '../../shared/observe/spans.ts';
import type { StreamSender } from '../../shared/transport/stream-sender.ts';
import type { DiskSeal } from '../../shared/wire/disk-body.ts';
import { byteLengthOf, frameHeaderBytes } from '../../shared/wire/frame.ts';
import { splitParts } from '../../shared/wire/part-list.ts';
import { encodeStreamBody, type StreamMessage } from '../../shared/wire/stream-body.ts';
import type { CodecChoice } from '../pipeline/codec-policy.ts';
import type { EncodeStats } from '../pipeline/encode-stats.ts';
import type { PageEncoder } from '../pipeline/page-encoder.ts';

export interface PublishedEpoch {
  readonly ramDigest: bigint;
  readonly stats: EncodeStats;
  /** Bytes of all frames, headers included. */
  readonly wireBytes: number;
  /** What was waited for the encoder, in all. */
  readonly encodeMs: number;
}

/**
 * Steps 4 to 7 of "One epoch step by step": what capture put into the buffer goes out as frames,
 * the last of which commits the epoch. One epoch at a time.
 */
export class EpochPublisher {
  readonly #encoder: PageEncoder;
  readonly #sender: StreamSender;
  readonly #clock: AlarmClock;
  readonly #spans: SpanList;
  readonly #digest = new EpochDigest();
  #epoch: Epoch | undefined;
  #chunkCount = 0;
  #bodyBytes = 0;
  #frameCount = 0;
  #encodeMs = 0;

  constructor(encoder: PageEncoder, sender: StreamSender, clock: AlarmClock, spans: SpanList) {
    this.#encoder = encoder;
    this.#sender = sender;
    this.#clock = clock;
    this.#spans = spans;
  }

  /** `choice`: how it is compressed, where that is not the same all the time. */
  async begin(
    epoch: Epoch,
    epochKind: 'sync' | 'delta',
    base: Epoch,
    choice?: CodecChoice,
  ): Promise<void> {
    if (this.#epoch !== undefined) throw new Error(`epoch ${this.#epoch} is not committed yet`);
    this.#epoch = epoch;
    this.#digest.reset();
    this.#chunkCount = 0;
    this.#bodyBytes = 0;
    this.#frameCount = 0;
    this.#encodeMs = 0;
    this.#encoder.begin(epoch, choice);
    await this.#send({ kind: 'begin', epochKind, base });
  }

  /** Encodes the buffer's slots 0 … counts[shard] − 1 of each shard and sends them. */
  async drain(counts: Uint32Array): Promise<void> {
    if (counts.every((count) => count === 0)) return;
    let startedAt = this.#clock.nowMs();
    for await (const payload of this.#encoder.encode(counts)) {
      this.#encodeMs += this.#spans.end('encode', startedAt);
      this.#chunkCount += 1;
      await this.#send({ kind: 'chunk', payload });
      // Sockets, acknowledgements and the operator's signals get their turn between chunks.
      await turn(this.#clock);
      startedAt = this.#clock.nowMs();
    }
    this.#encodeMs += this.#spans.end('encode', startedAt);
  }

  async sendParts(kind: 'baseline' | 'device', bytes: Uint8Array): Promise<void> {
    for (const part of splitParts(kind, bytes)) await this.#send(part);
  }

  /** What the changes of the guest's disks add up to: they have travelled beside the epoch. */
  async sendDiskSeal(seal: DiskSeal): Promise<void> {
    await this.#send(seal);
  }

  /**
   * Closes the epoch. `beforeSent` is told what it is made of before the backup can have it, so
   * that whoever keeps records knows of every epoch that may be resumed.
   */
  async commit(beforeSent: (published: PublishedEpoch) => void): Promise<void> {
    const { ramDigest, stats } = await this.#encoder.finish();
    const commit: StreamMessage = {
      kind: 'commit',
      epochDigest: this.#digest.value(),
      ramDigest,
      chunkCount: this.#chunkCount,
      pageCount: stats.changedPages,
      bytes: this.#bodyBytes,
    };
    const commitBytes = frameHeaderBytes + byteLengthOf(encodeStreamBody(commit));
    const wireBytes = this.#bodyBytes + this.#frameCount * frameHeaderBytes + commitBytes;
    beforeSent({ ramDigest, stats, wireBytes, encodeMs: this.#encodeMs });
    // What was told is written in this turn of the event loop, before COMMIT goes out.
    await turn(this.#clock);
    await this.#send(commit);
    this.#epoch = undefined;
  }

  async #send(message: StreamMessage): Promise<void> {
    if (this.#epoch === undefined) throw new Error(`a ${message.kind} frame outside an epoch`);
    const parts = encodeStreamBody(message);
    const covered = message.kind !== 'commit';
    if (covered) for (const part of parts) this.#digest.update(part);
    const startedAtMs = this.#clock.nowMs();
    await this.#sender.send(message.kind, this.#epoch, parts);
    this.#spans.end('send', startedAtMs);
    // COMMIT says how many bytes came before it, so its own are counted after it is encoded.
    this.#bodyBytes += byteLengthOf(parts);
    this.#frameCount += 1;
  }
}
