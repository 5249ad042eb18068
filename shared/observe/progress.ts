import type { ErrorFields } from '../errors.ts';
import { bytesText, ms } from './event-log.ts';
import type { TimedEvent } from './events.ts';

/** What happened since the last look: sums, and the worst. */
interface Span {
  epochs: number;
  pauseMsSum: number;
  pauseMsMax: number;
  dirtyPages: number;
  wireBytes: number;
  pageBytes: number;
  acks: number;
  ackLagMsMax: number;
  commits: number;
  commitPages: number;
  commitBytes: number;
  applyMsMax: number;
}

/**
 * Follows an agent's events and says how it goes: as a line for a terminal (`line`) or as the
 * fields of a log record (`record`). Both describe the time since the last look and start anew;
 * both are empty where nothing happened.
 */
export class Progress {
  #span = emptySpan();
  #state = '';
  #epoch = 0;
  #epochAcked = 0;

  note(event: TimedEvent): void {
    const span = this.#span;
    switch (event.kind) {
      case 'state':
        this.#state = event.to;
        return;
      case 'epoch':
        this.#epoch = event.epoch;
        span.epochs += 1;
        span.pauseMsSum += event.pauseMs;
        span.pauseMsMax = Math.max(span.pauseMsMax, event.pauseMs);
        span.dirtyPages += event.dirtyPages;
        span.wireBytes += event.wireBytes;
        span.pageBytes += event.pageBytes;
        return;
      case 'ack':
        this.#epochAcked = event.epoch;
        span.acks += 1;
        span.ackLagMsMax = Math.max(span.ackLagMsMax, event.lagMs);
        return;
      case 'commit':
        this.#epoch = event.epoch;
        span.commits += 1;
        span.commitPages += event.pages;
        span.commitBytes += event.bytes;
        span.applyMsMax = Math.max(span.applyMsMax, event.applyMs);
        return;
    }
  }

  /** `protected · epoch 812 · pause 2.9 ms · …`: the worst pause and lag, the mean sizes. */
  line(): string | undefined {
    const span = this.#take();
    if (span.epochs > 0) return this.#captureLine(span);
    if (span.commits > 0) return this.#applyLine(span);
    if (span.acks > 0) return this.#captureLine(span);
    return undefined;
  }

  record(): ErrorFields | undefined {
    const span = this.#take();
    const base = { event: 'progress', state: this.#state, epoch: this.#epoch };
    if (span.commits > 0) {
      const { commits, commitPages: pages, commitBytes: bytes, applyMsMax } = span;
      return { ...base, commits, pages, bytes, applyMsMax: rounded(applyMsMax) };
    }
    if (span.epochs === 0 && span.acks === 0) return undefined;
    const { epochs, dirtyPages, wireBytes, pageBytes } = span;
    return {
      ...base,
      epochAcked: this.#epochAcked,
      epochs,
      pauseMsMean: epochs === 0 ? null : rounded(span.pauseMsSum / epochs),
      pauseMsMax: epochs === 0 ? null : rounded(span.pauseMsMax),
      dirtyPages,
      wireBytes,
      pageBytes,
      ackLagMsMax: span.acks === 0 ? null : rounded(span.ackLagMsMax),
    };
  }

  /** What matters most comes first: a narrow terminal cuts the end. */
  #captureLine(span: Span): string {
    const parts = [this.#state, `epoch ${this.#epoch}`];
    if (span.epochs > 0) parts.push(`pause ${ms(span.pauseMsMax)}`);
    if (span.acks > 0) parts.push(`ack ${ms(span.ackLagMsMax)}`);
    else parts.push(`${this.#epoch - this.#epochAcked} not acknowledged`);
    if (span.epochs > 0) {
      parts.push(`${Math.round(span.dirtyPages / span.epochs)} dirty`);
      parts.push(wireText(span.wireBytes / span.epochs, span.pageBytes / span.epochs));
    }
    return parts.filter((part) => part !== '').join(' · ');
  }

  #applyLine(span: Span): string {
    const pages = `${Math.round(span.commitPages / span.commits)} pages`;
    const bytes = bytesText(span.commitBytes / span.commits);
    const parts = [this.#state, `epoch ${this.#epoch} applied`, pages, bytes];
    parts.push(`in ${ms(span.applyMsMax)}`);
    return parts.filter((part) => part !== '').join(' · ');
  }

  #take(): Span {
    const span = this.#span;
    this.#span = emptySpan();
    return span;
  }
}

function wireText(wireBytes: number, pageBytes: number): string {
  const share = pageBytes === 0 ? '' : ` (${((100 * wireBytes) / pageBytes).toFixed(1)} %)`;
  return `wire ${bytesText(wireBytes)} of ${bytesText(pageBytes)}${share}`;
}

function emptySpan(): Span {
  return {
    epochs: 0,
    pauseMsSum: 0,
    pauseMsMax: 0,
    dirtyPages: 0,
    wireBytes: 0,
    pageBytes: 0,
    acks: 0,
    ackLagMsMax: 0,
    commits: 0,
    commitPages: 0,
    commitBytes: 0,
    applyMsMax: 0,
  };
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
