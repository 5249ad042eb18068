import { open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { systemCode, UnderstudyError } from '../errors.ts';
import type { GuestName } from '../ids.ts';
import type { TermRecord } from './term-record.ts';

/** What an agent remembers of the highest term that it has seen. */
export interface SeenTerm {
  readonly term: number;
  readonly nonce: string;
}

/**
 * The highest term that this agent has seen, on its own disk. A stream that was lost and made
 * anew counts from 1 again, and a server that lost power may have forgotten its last minute:
 * whoever remembers more refuses to go back.
 */
export class HighestTerm {
  readonly path: string;
  readonly #guest: GuestName;
  #seen: SeenTerm | null;
  #writing: Promise<void> = Promise.resolve();

  private constructor(path: string, guest: GuestName, seen: SeenTerm | null) {
    this.path = path;
    this.#guest = guest;
    this.#seen = seen;
  }

  /** Reads `path`, or starts with nothing where it is not there. Throws `E_TERM_FILE`. */
  static async open(path: string, guest: GuestName): Promise<HighestTerm> {
    let text: string;
    try {
      text = await readFile(path, 'utf8');
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return new HighestTerm(path, guest, null);
      throw fileError(path, `can't be read (${systemCode(error) ?? String(error)})`, error);
    }
    const seen = parse(text, guest);
    if (seen === undefined) throw fileError(path, `does not hold the highest term of ${guest}`);
    return new HighestTerm(path, guest, seen);
  }

  get seen(): SeenTerm | null {
    return this.#seen;
  }

  /**
   * Takes note of what the arbiter says is the latest term. Resolves when it is on disk: only
   * then may anybody act on it. Throws `E_TERM_BACKWARDS` (and changes nothing) where it is
   * below what was seen, `E_TERM_FILE` where it can't be written.
   */
  async observe(latest: TermRecord | null): Promise<void> {
    // One at a time, and each compared with what the ones before it have written.
    const done = this.#writing.then(() => this.#note(latest));
    this.#writing = done.catch(() => {});
    await done;
  }

  async #note(latest: TermRecord | null): Promise<void> {
    refuseToGoBack(this.#seen, latest, this.#guest, this.path);
    if (latest === null || latest.term === this.#seen?.term) return;
    const seen = { term: latest.term, nonce: latest.nonce };
    const text = `${JSON.stringify({ version, guest: this.#guest, ...seen })}\n`;
    try {
      await writeDurably(this.path, text);
    } catch (error) {
      const why = `can't be written (${systemCode(error) ?? String(error)})`;
      throw fileError(this.path, why, error);
    }
    this.#seen = seen;
  }
}

/**
 * Throws `E_TERM_BACKWARDS` where `latest` is older than what was seen, or is another record of
 * the same term. A cluster's deposed leader can answer with an old term for some seconds: hold
 * still and ask again before anything is done about it; `path` is for the message.
 */
export function refuseToGoBack(
  seen: SeenTerm | null,
  latest: TermRecord | null,
  guest: GuestName,
  path: string,
): void {
  if (seen === null) return;
  const found = latest?.term ?? 0;
  if (found > seen.term) return;
  if (found === seen.term && latest?.nonce === seen.nonce) return;
  const why =
    found === seen.term
      ? `the arbiter has another record of term ${found} of ${guest} than was seen before`
      : `the arbiter is at term ${found} of ${guest}, but term ${seen.term} was seen before`;
  throw new UnderstudyError('E_TERM_BACKWARDS', `the terms went back: ${why}`, {
    hint:
      'The stream was made anew, or lost its end with a power cut. Restore it from a backup; or ' +
      'stop the agents on both hosts, see that one copy of the guest is left, remove this file ' +
      'on both hosts, and start the agent beside that copy first.',
    fields: { guest, seen: seen.term, found, path },
  });
}

const version = 1;

/** All or nothing, also at a power cut. */
async function writeDurably(path: string, text: string): Promise<void> {
  const fresh = `${path}.new`;
  const file = await open(fresh, 'w', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(fresh, path);
  const folder = await open(dirname(path), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function parse(text: string, guest: GuestName): SeenTerm | undefined {
  let found: Record<string, unknown> | null;
  try {
    found = JSON.parse(text) as Record<string, unknown> | null;
  } catch {
    return undefined;
  }
  if (typeof found !== 'object' || found === null) return undefined;
  const { term, nonce } = found;
  const whole =
    found.version === version &&
    found.guest === guest &&
    typeof term === 'number' &&
    Number.isSafeInteger(term) &&
    term >= 1 &&
    typeof nonce === 'string' &&
    /^[0-9a-f]{32}$/.test(nonce);
  return whole ? { term, nonce } : undefined;
}

function fileError(path: string, why: string, cause?: unknown): UnderstudyError {
  return new UnderstudyError('E_TERM_FILE', `${path} ${why}`, {
    hint:
      'It keeps this agent from believing an arbiter that lost its memory. Mend the disk or the ' +
      "file's rights; remove it only when you know that the stream of terms is whole.",
    fields: { path },
    ...(cause === undefined ? {} : { cause }),
  });
}
