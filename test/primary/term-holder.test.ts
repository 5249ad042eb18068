import test from 'ava';
import { whoForbidsStart } from '../../primary/term-holder.ts';
import type { TermMode, TermRecord } from '../../shared/arbiter/term-record.ts';
import { epoch, type GuestName, term } from '../../shared/ids.ts';

const host = '00000000000000f1';
const record = (holder: string, mode: TermMode, baseEpoch: number): TermRecord => ({
  ...{ guest: 'lab' as GuestName, term: term(6), holder, mode, nonce: '0'.repeat(32) },
  ...{ session: null, baseEpoch: epoch(baseEpoch), at: '2026-11-21T00:00:00.000Z' },
});

test('a guest is started anew where nobody holds it, or this host alone', (t) => {
  t.is(whoForbidsStart(null, host), undefined);
  t.is(whoForbidsStart(record(host, 'solo', 0), host), undefined);
  t.is(whoForbidsStart(record(host, 'paused', 0), host), undefined);
});

test('a guest that another host holds, or may resume, is not started', (t) => {
  t.truthy(whoForbidsStart(record('00000000000000f2', 'solo', 0), host));
  t.truthy(whoForbidsStart(record(host, 'protected', 1), host));
});

test('a takeover that was cut short is not followed by a fresh start', (t) => {
  t.truthy(whoForbidsStart(record(host, 'solo', 15), host));
});
