import { createHash, randomBytes } from 'node:crypto';
import { bounds } from '../bounds.ts';
import {
  type Epoch,
  epoch,
  type GuestName,
  isGuestName,
  type SessionId,
  sessionId,
  type Term,
  term,
} from '../ids.ts';
import { badTermRecord } from './arbiter-error.ts';

/**
 * Who may run a guest, as one message of the arbiter. It is stored as JSON with its keys in this
 * order and a checksum behind them, and never changes.
 */
export interface TermRecord {
  readonly guest: GuestName;
  readonly term: Term;
  /** Who created it: 16 lower-case hex digits, the same as long as the host is the same. */
  readonly holder: string;
  /**
   * `protected`: output waits for the backup's acknowledgement. `solo`: it waits for nothing.
   * `paused`: as `solo`, and by an operator's wish no backup is sought.
   */
  readonly mode: TermMode;
  /** 32 lower-case hex digits, drawn for each creation: tells own from foreign. */
  readonly nonce: string;
  /** The session that the term is about; null where there is none. */
  readonly session: SessionId | null;
  /** The epoch that the holder goes on from; 0 where there is none. */
  readonly baseEpoch: Epoch;
  /** When its creator thought it was, as ISO 8601 in UTC. For people; nothing rests on it. */
  readonly at: string;
}

export type TermMode = 'solo' | 'protected' | 'paused';

export const newNonce = (): string => randomBytes(16).toString('hex');

/** As it is stored. Throws `E_TERM_RECORD` where `record` could not be read back. */
export function encodeTermRecord(record: TermRecord): Uint8Array {
  const bytes = new TextEncoder().encode(textOf(record));
  decodeTermRecord(bytes, record.guest, record.term);
  return bytes;
}

/**
 * Reads what is stored as term `expected` of `guest`. Throws `E_TERM_RECORD` and says what is
 * wrong: not JSON, another version, a field, a checksum, another guest's or another term's.
 */
export function decodeTermRecord(
  bytes: Uint8Array,
  guest: GuestName,
  expected: number,
): TermRecord {
  const where = `term ${expected} of ${guest}`;
  const edited = (why: string) => badTermRecord(where, why, editedHint);
  if (bytes.byteLength > bounds.termRecordBytesMax) throw edited(`${bytes.byteLength} bytes`);
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    value = JSON.parse(text);
  } catch {
    throw edited('not JSON in UTF-8');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw edited(`not an object but ${shown(value)}`);
  }
  const found = value as Record<string, unknown>;
  if (found.version !== version) {
    const why = `version ${shown(found.version)}, and this program knows ${version}`;
    throw badTermRecord(where, why, versionHint);
  }
  for (const [name, guard] of Object.entries(guards)) {
    if (!Object.hasOwn(found, name)) throw edited(`${name} is missing`);
    if (!guard.holds(found[name])) {
      throw edited(`${name} is ${shown(found[name])} and should be ${guard.expected}`);
    }
  }
  const record = recordOf(found);
  // Anything that was added, doubled, moved or rewritten gives another text.
  if (textOf(record) !== text) throw edited('it was edited: its text and its checksum disagree');
  if (record.guest !== guest) throw edited(`it is a record of the guest ${record.guest}`);
  if (record.term !== expected) throw edited(`it says that it is term ${record.term}`);
  return record;
}

const version = 1;
const editedHint =
  'Agents never write such a record and never change one. Find out who did; then, with exactly ' +
  'one copy of the guest left, give the guest a new stream (docs/OPERATIONS.md).';
const versionHint = 'Update the older of the two agents, then start both again.';

interface Guard {
  readonly expected: string;
  readonly holds: (value: unknown) => boolean;
}

const text = (expected: string, pattern: RegExp): Guard => ({
  expected,
  holds: (value) => typeof value === 'string' && pattern.test(value),
});

const whole = (min: number): Guard => ({
  expected: `a whole number from ${min}`,
  holds: (value) => typeof value === 'number' && Number.isSafeInteger(value) && value >= min,
});

const sessionGuard = text('null or 16 hex digits', /^[0-9a-f]{16}$/);

/** In the order of the stored text. */
const guards: Readonly<Record<keyof TermRecord | 'sum', Guard>> = {
  guest: {
    expected: 'the name of a guest',
    holds: (value) => typeof value === 'string' && isGuestName(value),
  },
  term: whole(1),
  holder: text('16 lower-case hex digits', /^[0-9a-f]{16}$/),
  mode: text('solo, protected or paused', /^(solo|protected|paused)$/),
  nonce: text('32 lower-case hex digits', /^[0-9a-f]{32}$/),
  session: { ...sessionGuard, holds: (value) => value === null || sessionGuard.holds(value) },
  baseEpoch: whole(0),
  at: text('a time in UTC', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/),
  sum: text('16 lower-case hex digits', /^[0-9a-f]{16}$/),
};

/** Only after the guards hold. */
function recordOf(found: Record<string, unknown>): TermRecord {
  return {
    guest: found.guest as GuestName,
    term: term(found.term as number),
    holder: found.holder as string,
    mode: found.mode as TermMode,
    nonce: found.nonce as string,
    session: found.session === null ? null : sessionId(found.session as string),
    baseEpoch: epoch(found.baseEpoch as number),
    at: found.at as string,
  };
}

function textOf(record: TermRecord): string {
  const { guest, term: n, holder, mode, nonce, session, baseEpoch, at } = record;
  const plain = { version, guest, term: n, holder, mode, nonce, session, baseEpoch, at };
  // Against hands and rot, not against those who would compute it anew.
  const sum = createHash('sha256').update(JSON.stringify(plain)).digest('hex').slice(0, 16);
  return JSON.stringify({ ...plain, sum });
}

const shown = (value: unknown): string =>
  value === undefined ? 'nothing' : JSON.stringify(value).slice(0, 60);
