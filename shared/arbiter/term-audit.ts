import { bounds } from '../bounds.ts';
import type { GuestName } from '../ids.ts';
import type { Transport } from '../transport/transport.ts';
import { arbiterAway, badTermRecord, streamUnfit } from './arbiter-error.ts';
import { apiBody, askJetStream, isObject } from './jetstream-api.ts';
import { termOfSubject, termStream, termSubject } from './term-stream.ts';

/**
 * Looks whether a guest's terms are 1, 2, … up to the highest, each stored once, as agents leave
 * them. A term that is missing, doubled or has no number comes of hands or of a stream without
 * its settings. Returns the highest, 0 for none. For an agent's start; throws `E_TERM_RECORD`,
 * `E_ARBITER_AWAY`, `E_ARBITER_STREAM`.
 */
export async function auditTerms(
  transport: Transport,
  guest: GuestName,
  answerMs: number = bounds.requestMs,
): Promise<number> {
  const subject = `$JS.API.STREAM.INFO.${termStream}`;
  const body = apiBody({ subjects_filter: termSubject(guest, '*') });
  const answer = await askJetStream(transport, subject, body, answerMs);
  if (answer.error !== null) {
    const { code, description } = answer.error;
    if (code === 503) throw arbiterAway(subject, description);
    throw streamUnfit(termStream, description, 'Start the agent again: it looks to it.', null);
  }
  const { state } = answer.fields;
  if (!isObject(state)) throw arbiterAway(subject, 'an answer without a state');
  const counts = isObject(state.subjects) ? Object.entries(state.subjects) : [];
  const terms = new Set(counts.map(([name]) => termOfSubject(name)));
  const doubled = counts.find(([, count]) => count !== 1);
  if (doubled !== undefined) {
    throw badTermRecord(`on ${doubled[0]}`, `${String(doubled[1])} records of one term`, hint);
  }
  for (let term = 1; term <= terms.size; term++) {
    if (terms.has(term)) continue;
    const highest = Math.max(...terms);
    throw badTermRecord(`term ${term} of ${guest}`, `is missing, and ${highest} is there`, hint);
  }
  return terms.size;
}

const hint =
  'Somebody published or removed terms by hand. With exactly one copy of the guest left, give ' +
  'the guest a new stream (docs/OPERATIONS.md).';
