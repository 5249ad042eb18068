import { type DestinationStream, pino } from 'pino';
import type { ErrorFields } from '../errors.ts';

type Destination = ReturnType<typeof pino.destination>;

export type LogLevel = 'error' | 'warn' | 'info' | 'debug';

/** What an agent says about itself. The only file that knows pino. */
export interface Log {
  error(message: string, fields?: ErrorFields): void;
  warn(message: string, fields?: ErrorFields): void;
  info(message: string, fields?: ErrorFields): void;
  debug(message: string, fields?: ErrorFields): void;
  /** Writes out, in order, what is still in memory. Nothing is logged any more. */
  close(): Promise<void>;
}

/** One line, for a writer that formats it for people. */
export interface LogEntry {
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: ErrorFields;
}

/** Beyond this a reader that stopped reading costs lines, and no more memory. */
const unreadBytesMax = 1024 * 1024;
/** What a reader that does not read has lost by then is given up. */
const closeTimeoutMs = 2_000;

/**
 * JSON lines, one an entry, written to `to`: a file descriptor, or a stream in tests. `base` is
 * on every line (role, guest).
 */
export function createJsonLog(
  level: LogLevel,
  base: Readonly<Record<string, string>>,
  to: number | DestinationStream,
): Log {
  const options = { dest: to as number, sync: false, maxLength: unreadBytesMax };
  const stream = typeof to === 'number' ? pino.destination(options) : to;
  const logger = pino(
    {
      level,
      base,
      messageKey: 'message',
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    stream,
  );
  return {
    error: (message, fields) => logger.error(fields ?? {}, message),
    warn: (message, fields) => logger.warn(fields ?? {}, message),
    info: (message, fields) => logger.info(fields ?? {}, message),
    debug: (message, fields) => logger.debug(fields ?? {}, message),
    close: async () => {
      logger.level = 'silent';
      if (stream !== to) await ended(stream as Destination);
    },
  };
}

/** The same for people: `write` gets each entry that `level` lets through. */
export function createEntryLog(level: LogLevel, write: (entry: LogEntry) => void): Log {
  const order: readonly LogLevel[] = ['error', 'warn', 'info', 'debug'];
  const at = (own: LogLevel) => (message: string, fields?: ErrorFields) => {
    if (order.indexOf(own) > order.indexOf(level)) return;
    write({ level: own, message, fields: fields ?? {} });
  };
  const methods = { error: at('error'), warn: at('warn'), info: at('info'), debug: at('debug') };
  return { ...methods, close: async () => {} };
}

/**
 * A write may be under way in another thread, and `flushSync` would overtake it: lines would
 * change places. `end` waits for it.
 */
function ended(stream: Destination): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, closeTimeoutMs);
    const onEnd = (): void => {
      clearTimeout(timer);
      resolve();
    };
    // On an error the reader is gone: there is nobody left to tell.
    for (const event of ['close', 'error']) stream.once(event, onEnd);
    stream.end();
  });
}
