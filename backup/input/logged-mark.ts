import { readFileSync, writeFileSync } from 'node:fs';
import { systemCode } from '../../shared/errors.ts';
import type { SessionId } from '../../shared/ids.ts';

/**
 * Of which session input was logged, in a file beside the replica. The log is in memory and ends with
 * its process: the next one must know that the epoch alone does not cover what the guest has said.
 */
export class LoggedMark {
  readonly #path: string;
  #session: string | undefined;

  constructor(path: string) {
    this.#path = path;
    try {
      this.#session = readFileSync(path, 'utf8');
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw error;
    }
  }

  /** Before the primary hears that input is logged. */
  set(session: SessionId): void {
    if (this.has(session)) return;
    writeFileSync(this.#path, session, { mode: 0o600 });
    this.#session = session;
  }

  has(session: SessionId): boolean {
    return this.#session === session;
  }
}
