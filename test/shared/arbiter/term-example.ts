import { createHash } from 'node:crypto';
import { newNonce, type TermRecord } from '../../../shared/arbiter/term-record.ts';
import { epoch, type GuestName, term } from '../../../shared/ids.ts';

export const guest = 'lab' as GuestName;

/** A record as an agent named by `holder` (any text) would make it. */
export function exampleRecord(n: number, holder: string, nonce = newNonce()): TermRecord {
  return {
    guest,
    term: term(n),
    holder: createHash('sha256').update(holder).digest('hex').slice(0, 16),
    mode: 'solo',
    nonce,
    session: null,
    baseEpoch: epoch(0),
    at: '2026-01-02T03:04:05.678Z',
  };
}
