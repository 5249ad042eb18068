import type { TimedEvent } from './events.ts';
import type { EventsFormat } from './events-file.ts';
import { laneOf, lanes, type Span } from './spans.ts';

/**
 * Events as a trace in Chrome's "JSON Array Format" (https://ui.perfetto.dev, chrome://tracing): spans
 * on a lane each of the guest, the agent and the backup; what a checkpoint's output waits for, from
 * the pause to the acknowledgement, beside them; states, takeovers and warnings as marks. One event
 * a line. A file without its end, of an agent that was killed, can be read as well.
 *
 *   {"ph":"X","name":"encode","ts":µs,"dur":µs,"pid":…,"tid":…,"args":{"epoch":7}},
 */
export function chromeTrace(processName: readonly string[]): EventsFormat {
  const { pid } = process;
  const name = (tid: number, kind: string, text: string): string =>
    toLine({ ph: 'M', name: kind, pid, tid, args: { name: text } });
  const head = [
    name(0, 'process_name', processName.join(' ')),
    ...lanes.map((lane, index) => name(index + 1, 'thread_name', lane)),
  ];
  return {
    flags: 'w',
    head: `[\n${head.join('')}`,
    text: (event) =>
      traceEvents(event)
        .map((it) => toLine({ ...it, pid }))
        .join(''),
    dropped: (count) => toLine({ ph: 'i', name: `${count} events dropped`, ts: 0, pid, tid: 0 }),
    // The format has no comma before its end.
    tail: `${JSON.stringify({ ph: 'M', name: 'process_sort_index', pid, args: { sort_index: 0 } })}\n]\n`,
  };
}

interface TraceEvent {
  readonly ph: 'X' | 'i' | 'b' | 'e';
  readonly name: string;
  readonly cat: string;
  /** µs */
  readonly ts: number;
  readonly tid: number;
  readonly [more: string]: unknown;
}

function traceEvents(event: TimedEvent): readonly TraceEvent[] {
  switch (event.kind) {
    case 'spans':
      return event.spans.map((span) => ofSpan(span, { epoch: event.epoch }));
    case 'ack': {
      const held = { name: 'pause to acknowledgement', cat: 'held', tid: 0, id: event.epoch };
      return [
        { ph: 'b', ...held, ts: µs(event.atMs - event.lagMs), args: { epoch: event.epoch } },
        { ph: 'e', ...held, ts: µs(event.atMs) },
      ];
    }
    case 'state':
      return [mark(`${event.from} → ${event.to}`, event.atMs, { cause: event.cause })];
    case 'takeover':
      return [mark('takeover', event.atMs, { ...event.phasesMs, epoch: event.epoch })];
    case 'warning':
    case 'error':
      return [mark(event.code, event.atMs, { message: event.message })];
    default:
      return [];
  }
}

function ofSpan({ stage, fromMs, ms }: Span, args: Readonly<Record<string, unknown>>): TraceEvent {
  const lane = laneOf(stage);
  const tid = lanes.indexOf(lane) + 1;
  return { ph: 'X', name: stage, cat: lane, ts: µs(fromMs), dur: µs(ms), tid, args };
}

const mark = (name: string, atMs: number, args: Readonly<Record<string, unknown>>): TraceEvent => ({
  ...{ ph: 'i', name, cat: 'agent', ts: µs(atMs), tid: 0, s: 'p', args },
});

/** With a tenth of a microsecond. */
const µs = (ms: number): number => Math.round(ms * 10_000) / 10;

const toLine = (event: Readonly<Record<string, unknown>>): string => `${JSON.stringify(event)},\n`;
