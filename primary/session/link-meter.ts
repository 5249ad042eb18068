import type { Epoch } from '../../shared/ids.ts';
import type { LinkState } from '../pipeline/codec-policy.ts';

/** Smaller epochs tell how long an acknowledgement takes, and nothing about bytes. */
const sampleBytesMin = 64 << 10;
const bytesPerSecondMax = 4e9;
/** An epoch that did not wait for the link says that it is not slower than so much more. */
const growth = 1.02;
const creep = 1.01;
/** Of an acknowledgement, until an epoch of few bytes has shown it. */
const latencyDefaultMs = 5;

/**
 * What the way to the backup carries, measured on whole epochs: from the first frame (or the
 * acknowledgement before, if that came later) to the acknowledgement, less what an acknowledgement
 * takes where there is little to send. Where most of that time comes after the last frame, the link
 * was what took so long; else the encoder was, and the link carries at least as much. Reads no
 * clock.
 */
export class LinkMeter {
  #bytesPerSecond: number;
  /** The share of late of epochs that waited for the link. */
  #waited = 0;
  /** The shortest wait for the acknowledgement of any epoch, and of one of few bytes. */
  #waitMs = Number.POSITIVE_INFINITY;
  #latencyMs = latencyDefaultMs;
  #isTimed = false;
  #ackedAtMs = 0;
  #startedAtMs = 0;
  #sent: { epoch: Epoch; bytes: number; startedAtMs: number; sentAtMs: number }[] = [];

  /** `bytesPerSecond`: as long as nothing was measured. */
  constructor(bytesPerSecond: number) {
    this.#bytesPerSecond = bytesPerSecond;
  }

  get state(): LinkState {
    return { bytesPerSecond: this.#bytesPerSecond, isBusy: this.#waited > 0.5 };
  }

  /** The first frame of an epoch goes out. */
  begin(nowMs: number): void {
    this.#startedAtMs = nowMs;
  }

  /** Its last one does: `bytes` in all. */
  sent(epoch: Epoch, bytes: number, nowMs: number): void {
    this.#sent.push({ epoch, bytes, startedAtMs: this.#startedAtMs, sentAtMs: nowMs });
  }

  acknowledged(epoch: Epoch, nowMs: number): void {
    const covered = this.#sent.filter((each) => each.epoch <= epoch);
    this.#sent = this.#sent.filter((each) => each.epoch > epoch);
    const last = covered.at(-1);
    if (last === undefined) return;
    const bytes = covered.reduce((sum, each) => sum + each.bytes, 0);
    const from = Math.max(covered[0]!.startedAtMs, this.#ackedAtMs);
    this.#ackedAtMs = nowMs;
    const waitMs = nowMs - last.sentAtMs;
    // Both creep up, so that a way that has become longer is noticed.
    this.#waitMs = Math.min(waitMs, this.#waitMs * creep);
    if (bytes < sampleBytesMin) {
      this.#latencyMs = this.#isTimed ? Math.min(waitMs, this.#latencyMs * creep) : waitMs;
      this.#isTimed = true;
      return;
    }
    const latencyMs = Math.min(this.#waitMs, this.#latencyMs);
    const tookMs = nowMs - from - latencyMs;
    if (tookMs <= 0) return;
    this.#learn((bytes / tookMs) * 1000, waitMs - latencyMs > tookMs / 2);
  }

  #learn(bytesPerSecond: number, waited: boolean): void {
    const known = this.#bytesPerSecond;
    const next = waited
      ? Math.sqrt(known * bytesPerSecond)
      : Math.max(bytesPerSecond, known * growth);
    this.#bytesPerSecond = Math.min(bytesPerSecondMax, next);
    this.#waited += (Number(waited) - this.#waited) / 8;
  }
}
