import { bounds } from '../../shared/bounds.ts';
import type { AlarmClock, CallOff } from '../../shared/clock.ts';
import { UnderstudyError } from '../../shared/errors.ts';
import type { Epoch } from '../../shared/ids.ts';
import { networkBounds } from '../../shared/net/network-bounds.ts';
import type { InputLogMessage } from '../../shared/wire/input-body.ts';
import type { IsSure } from '../parts.ts';
import type { HeldOutput } from './held-output.ts';
import { InputJournal } from './input-journal.ts';
import type { OutputRule } from './output-rule.ts';

export interface InputLogRuleOptions {
  readonly held: HeldOutput;
  readonly clock: AlarmClock;
  /** How long input may wait before it is sent. */
  readonly intervalMs: number;
  readonly bytesMax: number;
  /** What was handed over and is not with QEMU yet, of all cards. */
  readonly waitingBytes: () => number;
  readonly onCheckpointWanted: () => void;
  readonly onWarning: (error: UnderstudyError) => void;
}

/**
 * LLM's rule for output: a frame leaves once all input that the guest was told before it is logged by
 * the backup, which tells it to the guest again at a takeover. Checkpoints can then be rare.
 *
 * A place in the log is a mark of the gate: `needs` is the last input before it. The first checkpoint
 * of a session, acknowledged in our protected term, starts it: before that no log helps.
 */
export class InputLogRule implements OutputRule {
  readonly #options: InputLogRuleOptions;
  readonly #held: HeldOutput;
  #journal: InputJournal | undefined;
  #send: (message: InputLogMessage) => void = () => {};
  #marks: { readonly mark: number; readonly needs: number; readonly epoch: Epoch | undefined }[] =
    [];
  #mark = 0;
  /** The guest said something that no mark closed yet. */
  #isOpen = false;
  #covered = false;
  #asked = false;
  #warned = false;
  #refused = 0;
  #progressAtMs = 0;
  #stopTicking: CallOff = () => {};

  constructor(options: InputLogRuleOptions) {
    this.#options = options;
    this.#held = options.held;
  }

  /** How batches reach the backup of the session that is open. */
  connect(send: (message: InputLogMessage) => void): void {
    this.#send = send;
  }

  /** Whether the guest may be told more now: what can't be logged soon stays outside. */
  get takesInput(): boolean {
    const journal = this.#journal;
    if (journal === undefined || journal.unsentBytes < this.#options.bytesMax) return true;
    this.#refused += 1;
    return false;
  }

  /** Input that was refused since the start, in frames. */
  get refusedFrames(): number {
    return this.#refused;
  }

  /** The guest was told `frame`. */
  input(card: number, frame: Uint8Array): void {
    const journal = this.#journal;
    if (journal === undefined) return;
    journal.append(card, frame, this.#inFlightBytesMax);
    if (journal.filledShare < 0.5 || this.#asked) return;
    this.#asked = true;
    this.#options.clock.soon(this.#options.onCheckpointWanted);
  }

  frame(card: number, frame: Uint8Array): void {
    this.#held.frame(card, frame);
    this.#isOpen = true;
    if (this.#isAllLogged) this.#close();
  }

  pausing(): void {
    this.#held.pausing();
  }

  resumed(): void {
    this.#held.resumed();
  }

  hold(): void {
    this.#end();
    this.#held.hold();
    // With the policy `stop` something may be held since before.
    this.#isOpen = true;
    const { bytesMax, intervalMs, clock } = this.#options;
    this.#journal = new InputJournal({ bytesMax, batchBytesMax: bounds.inputBatchBytesMax });
    this.#stopTicking = clock.every(intervalMs, () => this.#tick());
  }

  barrier(epoch: Epoch): void {
    this.#asked = false;
    this.#journal?.barrier(epoch, this.#inFlightBytesMax);
    this.#close(epoch);
    if (this.#journal !== undefined) this.#send(this.#journal.epochMessage());
  }

  acknowledged(epoch: Epoch, isSure?: IsSure): void {
    this.#covered = true;
    this.#warned = false;
    this.#journal?.acknowledged(epoch);
    const covered = this.#marks.findLast((one) => one.epoch !== undefined && one.epoch <= epoch);
    if (covered !== undefined) this.#release(covered.mark, isSure);
    this.#releaseLogged(isSure);
  }

  /** The backup has the input of this session up to `sequence`. */
  logged(sequence: number, isSure?: IsSure): void {
    if (this.#journal?.loggedTo(sequence) !== true) return;
    this.#progressAtMs = this.#options.clock.nowMs();
    this.#releaseLogged(isSure);
    if (this.#isAllLogged && this.#isOpen) this.#close();
  }

  sessionEnded(): void {
    this.#end();
    this.#held.sessionEnded();
  }

  releaseAll(): void {
    this.#end();
    this.#held.releaseAll();
  }

  drop(): void {
    this.#end();
    this.#held.drop();
  }

  #end(): void {
    this.#stopTicking();
    this.#stopTicking = () => {};
    this.#journal = undefined;
    this.#marks = [];
    this.#covered = false;
    this.#asked = false;
  }

  get #inFlightBytesMax(): number {
    return networkBounds.inputInFlightBytesMax + this.#options.waitingBytes();
  }

  get #isAllLogged(): boolean {
    const journal = this.#journal;
    return this.#covered && journal !== undefined && journal.logged === journal.last;
  }

  /** What the guest said so far depends on no later input than the last. */
  #close(epoch?: Epoch): void {
    this.#mark += 1;
    this.#isOpen = false;
    const needs = this.#journal?.last ?? 0;
    this.#marks.push({ mark: this.#mark, needs, epoch });
    this.#held.barrier(this.#mark);
    this.#releaseLogged();
  }

  #releaseLogged(isSure?: IsSure): void {
    const journal = this.#journal;
    if (!this.#covered || journal === undefined) return;
    const last = this.#marks.findLast(({ needs }) => needs <= journal.logged);
    if (last !== undefined) this.#release(last.mark, isSure);
  }

  #release(mark: number, isSure: IsSure | undefined): void {
    this.#held.acknowledged(mark, isSure);
    this.#marks = this.#marks.filter((one) => one.mark > mark);
  }

  #tick(): void {
    const journal = this.#journal!;
    const nowMs = this.#options.clock.nowMs();
    if (this.#isOpen && this.#marks.length < marksMax) this.#close();
    if (!journal.isWaiting) this.#progressAtMs = nowMs;
    if (nowMs - this.#progressAtMs > bounds.inputRepeatMs) {
      this.#progressAtMs = nowMs;
      journal.repeat();
    }
    for (let batch = journal.next(); batch !== undefined; batch = journal.next()) this.#send(batch);
    if (journal.unsentBytes === 0 || journal.filledShare < 1 || this.#warned) return;
    this.#warned = true;
    this.#options.onWarning(logFull(this.#options.bytesMax));
  }
}

/** Without answers of the backup what is said more waits for the next of its answers. */
const marksMax = 256;

function logFull(bytesMax: number): UnderstudyError {
  const message = 'the log of input is full: output waits for a checkpoint';
  return new UnderstudyError('E_INPUT_LOG_FULL', message, {
    hint: 'Raise output.inputLog.bytesMax on both sides, or lower epoch.intervalMs.',
    fields: { bytesMax },
  });
}
