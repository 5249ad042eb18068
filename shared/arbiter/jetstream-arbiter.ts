import { bounds } from '../bounds.ts';
import type { UnderstudyError } from '../errors.ts';
import type { GuestName } from '../ids.ts';
import type { Transport } from '../transport/transport.ts';
import type { Arbiter } from './arbiter.ts';
import { arbiterAway, streamUnfit } from './arbiter-error.ts';
import { apiBody, apiErrors, askJetStream, isObject } from './jetstream-api.ts';
import { SettlingArbiter } from './settling-arbiter.ts';
import { decodeTermRecord, encodeTermRecord, type TermRecord } from './term-record.ts';
import type { PutAnswer, TermStore } from './term-store.ts';
import { termOfSubject, termStream, termSubject } from './term-stream.ts';

export interface JetStreamArbiterOptions {
  readonly guest: GuestName;
  /** How long one question waits for its answer. */
  readonly answerMs?: number;
  readonly attemptsMax?: number;
  readonly retryWaitMs?: number;
  /** Waits between attempts. Default: the machine's timer. */
  readonly pause?: (ms: number) => Promise<void>;
}

/**
 * The arbiter of one guest in the stream of terms, which `ensureStream` has seen to. Give it a
 * connection of its own: behind page data an answer takes many times as long.
 */
export function jetStreamArbiter(transport: Transport, options: JetStreamArbiterOptions): Arbiter {
  const store = new JetStreamTerms(transport, options.guest, options.answerMs);
  return new SettlingArbiter(store, options);
}

/**
 * Each term is one message, on a subject of its own. The condition "the subject's last sequence
 * is 0" makes a creation exclusive, on one replica and on three, also with servers before
 * 2.9.21, whose conditional updates are not. What is there is read from the stream's leader
 * (`STREAM.MSG.GET`): a direct get may be answered by a server that is behind.
 */
class JetStreamTerms implements TermStore {
  readonly #transport: Transport;
  readonly #guest: GuestName;
  readonly #answerMs: number;

  constructor(transport: Transport, guest: GuestName, answerMs: number = bounds.arbiterAnswerMs) {
    this.#transport = transport;
    this.#guest = guest;
    this.#answerMs = answerMs;
  }

  async last(): Promise<TermRecord | null> {
    const subject = `$JS.API.STREAM.MSG.GET.${termStream}`;
    const body = apiBody({ last_by_subj: termSubject(this.#guest, '*') });
    const answer = await askJetStream(this.#transport, subject, body, this.#answerMs);
    if (answer.error === null) return this.#recordIn(answer.fields.message);
    const { code, errorCode, description } = answer.error;
    if (errorCode === apiErrors.noMessage) return null;
    if (errorCode === apiErrors.streamNotFound) throw missing();
    if (code === 503) throw arbiterAway(subject, description);
    const hint = "Compare its settings with docs/OPERATIONS.md; see the server's log.";
    throw streamUnfit(termStream, `it can't be read: ${description}`, hint, null);
  }

  async put(record: TermRecord): Promise<PutAnswer> {
    if (record.guest !== this.#guest) throw new Error(`a record of ${record.guest}`);
    const subject = termSubject(this.#guest, record.term);
    const answer = await askJetStream(
      this.#transport,
      subject,
      encodeTermRecord(record),
      this.#answerMs,
      {
        'Nats-Expected-Stream': termStream,
        'Nats-Expected-Last-Subject-Sequence': '0',
        'Nats-Msg-Id': record.nonce,
      },
    );
    if (answer.error !== null) return { stored: false, why: answer.error.description };
    const { stream, seq, duplicate } = answer.fields;
    if (duplicate === true) return { stored: false, why: 'sent before' };
    if (stream === termStream && typeof seq === 'number' && seq > 0) return { stored: true };
    throw arbiterAway(subject, 'the answer is not one of the stream');
  }

  #recordIn(message: unknown): TermRecord {
    const { subject, data } = isObject(message) ? message : {};
    if (typeof subject !== 'string') {
      throw arbiterAway(termStream, 'the answer holds no message');
    }
    const bytes = Buffer.from(typeof data === 'string' ? data : '', 'base64');
    return decodeTermRecord(bytes, this.#guest, termOfSubject(subject));
  }
}

function missing(): UnderstudyError {
  const hint =
    'Start the agents again: they make it anew. Where it was lost or removed, each agent then ' +
    'says what it remembers of the terms.';
  return streamUnfit(termStream, 'it is not there', hint, null);
}
