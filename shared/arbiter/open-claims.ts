import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bounds } from '../bounds.ts';
import { monotonicClock, sleep } from '../clock.ts';
import { isUnderstudyError, systemCode, UnderstudyError } from '../errors.ts';
import type { GuestName } from '../ids.ts';
import type { Transport } from '../transport/transport.ts';
import { HighestTerm } from './highest-term.ts';
import { jetStreamArbiter } from './jetstream-arbiter.ts';
import { auditTerms } from './term-audit.ts';
import { TermClaims } from './term-claims.ts';
import { ensureStream } from './term-stream.ts';

export interface OpenClaimsOptions {
  /** A connection of its own: behind page data an answer takes many times as long. */
  readonly transport: Transport;
  readonly guest: GuestName;
  /** On a disk: it must survive a reboot. */
  readonly stateFolder: string;
  readonly replicas: number;
  /** How long an arbiter that does not answer, or has no leader yet, is waited for. */
  readonly patienceMs: number;
  /** Ends the wait. */
  readonly signal: AbortSignal;
  /** What is unwise, and what is waited for. */
  readonly onWarning: (error: UnderstudyError) => void;
}

export interface OpenedClaims {
  readonly claims: TermClaims;
  /** 16 hex digits: this host, as it will still be called after a reboot. */
  readonly host: string;
}

/**
 * The way to the arbiter: its stream is there and fit, this host has a name, and what it has seen
 * is remembered. Throws `E_ARBITER_…`, `E_TERM_FILE`, `E_STATE_FOLDER`.
 */
export async function openClaims(options: OpenClaimsOptions): Promise<OpenedClaims> {
  const { transport, guest, stateFolder, replicas, onWarning } = options;
  const host = hostName(stateFolder);
  const arbiter = jetStreamArbiter(transport, { guest });
  const { wishes, command } = await patiently(options, async () => {
    const report = await ensureStream(transport, { replicas });
    await auditTerms(transport, guest);
    // A record that can't be believed is told now, not when a claim waits for it.
    await arbiter.latest();
    return report;
  });
  if (wishes.length > 0) onWarning(looseStream(wishes, command ?? ''));
  const memory = await HighestTerm.open(join(stateFolder, 'term.json'), guest);
  const highestSeen = memory.seen?.term ?? 0;
  const claims = new TermClaims({
    ...{ arbiter, memory, guest, host, highestSeen },
    onWaiting: onWarning,
  });
  return { claims, host };
}

/** A server that has just been started needs a while: whoever starts agents beside it need not know. */
async function patiently<T>(
  { patienceMs, signal, onWarning }: OpenClaimsOptions,
  ask: () => Promise<T>,
): Promise<T> {
  const clock = monotonicClock;
  const endAtMs = clock.nowMs() + patienceMs;
  for (let isTold = false; ; isTold = true) {
    signal.throwIfAborted();
    try {
      return await ask();
    } catch (error) {
      if (!isUnderstudyError(error, 'E_ARBITER_AWAY') || clock.nowMs() >= endAtMs) throw error;
      if (!isTold) onWarning(error);
    }
    await sleep(clock, bounds.arbiterStartWaitMs, signal);
  }
}

function looseStream(wishes: readonly string[], command: string): UnderstudyError {
  const message = `the stream of terms serves, and could be safer: ${wishes.join('; ')}`;
  return new UnderstudyError('E_ARBITER_LOOSE', message, {
    hint: `Hands can lose terms in it. Mend it with: ${command}`,
    fields: { command },
  });
}

function hostName(folder: string): string {
  const path = join(folder, 'host');
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    try {
      writeFileSync(path, `${randomBytes(8).toString('hex')}\n`, { flag: 'wx', flush: true });
    } catch (error) {
      if (systemCode(error) !== 'EEXIST') throw error;
    }
    const name = readFileSync(path, 'utf8').trim();
    if (/^[0-9a-f]{16}$/.test(name)) return name;
  } catch (error) {
    throw stateFolderError(folder, systemCode(error) ?? String(error), error);
  }
  throw stateFolderError(folder, `${path} does not hold a host's name`, undefined);
}

function stateFolderError(folder: string, why: string, cause: unknown): UnderstudyError {
  return new UnderstudyError('E_STATE_FOLDER', `the state folder ${folder} can't be used: ${why}`, {
    hint: 'Name a folder on a disk that this user may write to as guest.stateFolder.',
    fields: { folder },
    cause,
  });
}
