import type { LogEntry, LogLevel } from './log.ts';

/** A log entry as a line for people: `14:03:22.123 warn  message  code=E_X`, its hint below. */
export function entryLine(entry: LogEntry, at: Date, isColoured: boolean): string {
  const paint = isColoured ? colour : plain;
  const { hint, ...fields } = entry.fields;
  const details = Object.entries(fields)
    .filter(([name]) => !isInMessage(name))
    .map(([name, value]) => ` ${name}=${value}`)
    .join('');
  const time = paint(dim, at.toTimeString().slice(0, 8) + millisecondsOf(at));
  const level = paint(levelColours[entry.level], entry.level.padEnd(5));
  const line = `${time} ${level} ${entry.message}${details === '' ? '' : paint(dim, details)}`;
  return typeof hint === 'string'
    ? `${line}\n${' '.repeat(19)}${paint(dim, 'hint:')} ${hint}`
    : line;
}

/** A message says these in words; the fields are for scripts. */
const isInMessage = (name: string) =>
  /^(event|from|to|cause|change|phase|session|epoch|status|.*Ms)$/.test(name);

const dim = 2;
const levelColours: Record<LogLevel, number> = { error: 31, warn: 33, info: 32, debug: 36 };

function colour(code: number, text: string): string {
  return `\x1b[${code}m${text}\x1b[0m`;
}

function plain(_code: number, text: string): string {
  return text;
}

function millisecondsOf(at: Date): string {
  return `.${String(at.getMilliseconds()).padStart(3, '0')}`;
}
