import { type Clock, monotonicClock } from '../clock.ts';
import type { LogSection } from '../config/schema.ts';
import type { UnderstudyError } from '../errors.ts';
import { chromeTrace } from './chrome-trace.ts';
import { entryLine } from './entry-line.ts';
import { EventHub, type OnTimedEvent } from './event-hub.ts';
import { logEvent } from './event-log.ts';
import type { EmitEvent } from './events.ts';
import { EventsFile, type EventsFormat } from './events-file.ts';
import { createEntryLog, createJsonLog, type Log } from './log.ts';
import { Progress } from './progress.ts';
import { ProtectionGap } from './protection-gap.ts';
import { Terminal, type TerminalStream } from './terminal.ts';

/** Everything by which one agent is seen from outside. */
export interface Observer {
  /** Where the agent's code sends its events. Never throws. */
  readonly emit: EmitEvent;
  /** For what is no event: start, stop. */
  readonly log: Log;
  /** Hears every event from now on; returns how to stop. */
  subscribe(listener: OnTimedEvent): () => void;
  /** Writes out what is waiting and stops; the status line goes. */
  close(): Promise<void>;
}

export interface ObserverOptions {
  readonly log: LogSection;
  /** On every JSON line, for example `{ role: 'primary', guest: 'lab' }`. */
  readonly base: Readonly<Record<string, string>>;
  /** File for a timeline that Chrome's tracing and Perfetto show; replaced if it is there. */
  readonly traceFile?: string | undefined;
  readonly stream?: TerminalStream & { readonly fd?: number };
  readonly clock?: Clock;
}

const statusEveryMs = 250;
/** After 3 s without news the status line goes: it would show what is no longer so. */
const silentCountMax = 12;
const recordEveryMs = 5_000;

/** Throws `E_EVENTS_FILE` where the events file or the trace can't be opened. */
export function createObserver(options: ObserverOptions): Observer {
  const { level, format, eventsFile } = options.log;
  const stream = options.stream ?? process.stderr;
  const terminal = new Terminal(stream);
  const isForPeople = format === 'pretty' || (format === 'auto' && terminal.isTTY);
  const log = isForPeople
    ? createEntryLog(level, (entry) =>
        terminal.print(entryLine(entry, new Date(), terminal.isColoured)),
      )
    : createJsonLog(level, options.base, stream.fd ?? stream);

  const hub = new EventHub(options.clock ?? monotonicClock);
  hub.subscribe((event) => logEvent(log, event));
  const files = [
    ...(eventsFile === null ? [] : [openEventsFile(eventsFile, hub)]),
    ...(options.traceFile === undefined
      ? []
      : [openEventsFile(options.traceFile, hub, chromeTrace(Object.values(options.base)))]),
  ];
  const gap = new ProtectionGap(hub.emit);
  // After the others: what it says comes behind what it is about.
  hub.subscribe((event) => gap.note(event));
  const stopProgress = startProgress(hub, log, isForPeople ? terminal : undefined);
  return {
    emit: hub.emit,
    log,
    subscribe: (listener) => hub.subscribe(listener),
    close: async () => {
      stopProgress();
      for (const file of files) await file.close();
      await log.close();
    },
  };
}

function openEventsFile(path: string, hub: EventHub, format?: EventsFormat): EventsFile {
  const onFailure = ({ code, message, hint }: UnderstudyError) =>
    hub.emit({ kind: 'warning', code, message, hint });
  const file = new EventsFile(path, onFailure, format);
  hub.subscribe((event) => file.add(event));
  return file;
}

/** A status line on a terminal; elsewhere a record every few seconds. */
function startProgress(hub: EventHub, log: Log, terminal: Terminal | undefined): () => void {
  const progress = new Progress();
  const unsubscribe = hub.subscribe((event) => progress.note(event));
  let silentCount = 0;
  const show = (): void => {
    if (terminal?.isTTY) {
      const line = progress.line();
      silentCount = line === undefined ? silentCount + 1 : 0;
      if (line !== undefined) terminal.status(line);
      else if (silentCount > silentCountMax) terminal.status('');
    } else {
      const record = progress.record();
      if (record !== undefined) log.info('progress', record);
    }
  };
  const timer = setInterval(show, terminal?.isTTY ? statusEveryMs : recordEveryMs);
  timer.unref();
  return () => {
    unsubscribe();
    clearInterval(timer);
    terminal?.status('');
  };
}
