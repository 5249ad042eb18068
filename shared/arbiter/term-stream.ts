import { setTimeout as sleep } from 'node:timers/promises';
import { bounds } from '../bounds.ts';
import { isUnderstudyError } from '../errors.ts';
import type { Transport } from '../transport/transport.ts';
import { arbiterAway, badTermRecord, streamUnfit } from './arbiter-error.ts';
import { type ApiError, apiBody, apiErrors, askJetStream, isObject } from './jetstream-api.ts';
import {
  commandFor,
  faultsOf,
  type StreamConfig,
  streamSettings,
  wishesOf,
} from './stream-settings.ts';

/** The stream that holds the terms of all guests of one NATS. */
export const termStream = 'UNDERSTUDY_TERMS';
/** No guest's name starts with "_", so no other subject of Understudy can match. */
export const termSubjects = 'understudy._term.*.*';

export const termSubject = (guest: string, term: number | '*'): string =>
  `understudy._term.${guest}.${term}`;

/** The term that a subject is for. Throws `E_TERM_RECORD` where it is for none. */
export function termOfSubject(subject: string): number {
  const token = subject.slice(subject.lastIndexOf('.') + 1);
  if (/^[1-9]\d{0,14}$/.test(token)) return Number(token);
  const hint = 'Agents never publish there. Find out who did.';
  throw badTermRecord(`on ${subject}`, 'the subject does not end in the number of a term', hint);
}

export interface EnsureStreamOptions {
  /** Servers that keep a copy: 1, or 3 on a cluster. */
  readonly replicas: number;
  readonly answerMs?: number;
  readonly attemptsMax?: number;
}

export interface StreamReport {
  readonly created: boolean;
  /** What would make it safer, in words; nothing is refused for it. */
  readonly wishes: readonly string[];
  /** Grants the wishes; null where there are none. */
  readonly command: string | null;
}

/**
 * Creates the stream where there is none, and looks whether the one that is there is fit for
 * terms. Changes no stream that it finds. Throws `E_ARBITER_AWAY`, or `E_ARBITER_STREAM` with
 * the settings that are wrong and the command that mends them.
 */
export async function ensureStream(
  transport: Transport,
  options: EnsureStreamOptions,
): Promise<StreamReport> {
  const attemptsMax = options.attemptsMax ?? bounds.arbiterAttemptsMax;
  for (let attempt = 1; ; attempt++) {
    try {
      return await tryToEnsure(transport, options);
    } catch (error) {
      if (!isUnderstudyError(error, 'E_ARBITER_AWAY') || attempt >= attemptsMax) throw error;
      await sleep(bounds.arbiterRetryWaitMs);
    }
  }
}

async function tryToEnsure(
  transport: Transport,
  options: EnsureStreamOptions,
): Promise<StreamReport> {
  const { replicas, answerMs = bounds.arbiterAnswerMs } = options;
  const found = await ask(transport, 'INFO', null, answerMs);
  if (found.error === null) return report(found.config, replicas, false);
  if (found.error.errorCode !== apiErrors.streamNotFound) throw refused(found.error, replicas);

  const wanted = streamSettings(termStream, termSubjects, replicas);
  // On several servers, making a stream takes longer than asking for it.
  const made = await ask(transport, 'CREATE', wanted, Math.max(answerMs, bounds.requestMs));
  if (made.error === null) return report(made.config, replicas, true);
  if (made.error.errorCode !== apiErrors.streamNameInUse) throw refused(made.error, replicas);
  // Somebody was faster, and wants something else.
  throw arbiterAway('STREAM.CREATE', made.error.description);
}

async function ask(transport: Transport, verb: string, body: object | null, answerMs: number) {
  const subject = `$JS.API.STREAM.${verb}.${termStream}`;
  const answer = await askJetStream(transport, subject, apiBody(body), answerMs);
  if (answer.error !== null) return { error: answer.error };
  const { config } = answer.fields;
  if (!isObject(config)) throw arbiterAway(subject, 'an answer without a configuration');
  return { error: null, config };
}

function report(config: StreamConfig, replicas: number, created: boolean): StreamReport {
  // More copies than asked for do no harm, and a command must not take them away.
  const copies = Math.max(replicas, Number(config.num_replicas ?? 1));
  const wanted = streamSettings(termStream, termSubjects, copies);
  const faults = faultsOf(config, wanted);
  if (faults.length > 0) {
    const fixed = faults.filter((fault) => !fault.changeable);
    const why = `terms are not safe in it: ${faults.map((fault) => fault.words).join('; ')}`;
    if (fixed.length > 0) throw streamUnfit(termStream, why, anewHint, commandFor(termStream));
    throw streamUnfit(termStream, why, 'Mend it with:', commandFor(termStream, config, wanted));
  }
  const wishes = wishesOf(config);
  const command = wishes.length > 0 ? commandFor(termStream, config, wanted) : null;
  return { created, wishes, command };
}

const anewHint =
  'This cannot be changed in a stream that exists. Stop every agent that uses it, remove it, and ' +
  'start them again, which makes it anew (docs/OPERATIONS.md says how the terms go on). Remove ' +
  'it with:';

function refused(error: ApiError, replicas: number): Error {
  // "Not now": no leader yet, JetStream starting, or not enabled.
  if (error.code === 503) return arbiterAway('STREAM.CREATE', error.description);
  const hint =
    `It is to be kept on ${replicas} server(s) and to hold ${termSubjects}. Correct the number ` +
    "of replicas in the config or the cluster, or the other stream, or the user's permissions.";
  return streamUnfit(termStream, `JetStream refuses it: ${error.description}`, hint, null);
}
