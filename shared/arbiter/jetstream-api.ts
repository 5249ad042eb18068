import { isUnderstudyError } from '../errors.ts';
import type { MessageHeaders, Transport } from '../transport/transport.ts';
import { arbiterAway } from './arbiter-error.ts';

/** What JetStream answers: fields, or an error of its own (numbers as in its errors.json). */
export type ApiAnswer =
  | { readonly error: null; readonly fields: Readonly<Record<string, unknown>> }
  | { readonly error: ApiError };

export interface ApiError {
  /** As HTTP has them: 400 refused, 404 not there, 503 not now. */
  readonly code: number;
  /** Which error it is, for example `apiErrors.noMessage`. */
  readonly errorCode: number;
  readonly description: string;
}

export const apiErrors = {
  noMessage: 10037,
  streamNameInUse: 10058,
  streamNotFound: 10059,
  wrongLastSequence: 10071,
} as const;

/**
 * One request to JetStream over plain NATS. Throws `E_ARBITER_AWAY` where there is no answer,
 * or none that JetStream gives; errors that it answers are returned.
 */
export async function askJetStream(
  transport: Transport,
  subject: string,
  body: Uint8Array,
  timeoutMs: number,
  headers?: MessageHeaders,
): Promise<ApiAnswer> {
  let answer: Uint8Array;
  try {
    answer = await transport.request(subject, body, timeoutMs, headers);
  } catch (error) {
    if (noAnswer.some((code) => isUnderstudyError(error, code))) {
      const isOff = isUnderstudyError(error, 'E_TRANSPORT_NO_RESPONDER');
      const words = error instanceof Error ? error.message : '';
      throw arbiterAway(subject, isOff ? 'JetStream is not switched on there' : words, error);
    }
    throw error;
  }
  return parse(subject, answer);
}

/** The body of a request, and what such bodies are printed from for operators. */
export const apiBody = (value: object | null): Uint8Array =>
  new TextEncoder().encode(value === null ? '' : JSON.stringify(value));

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** No server, no JetStream in it, or no leader: they all look like this. */
const noAnswer = [
  'E_TRANSPORT_TIMEOUT',
  'E_TRANSPORT_NO_RESPONDER',
  'E_TRANSPORT_DISCONNECTED',
] as const;

function parse(subject: string, answer: Uint8Array): ApiAnswer {
  let fields: unknown;
  try {
    fields = JSON.parse(new TextDecoder().decode(answer));
  } catch {
    fields = undefined;
  }
  if (!isObject(fields)) throw arbiterAway(subject, 'the answer is not one of JetStream');
  const { error } = fields;
  if (error === undefined) return { error: null, fields };
  if (!isObject(error)) throw arbiterAway(subject, 'the answer is not one of JetStream');
  return {
    error: {
      code: Number(error.code),
      errorCode: Number(error.err_code),
      description: String(error.description),
    },
  };
}
