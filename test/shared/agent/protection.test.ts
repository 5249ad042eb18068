import test from 'ava';
import { type ProtectionFacts, whyNotProtected } from '../../../shared/agent/protection.ts';
import type { TermRecord } from '../../../shared/arbiter/term-record.ts';
import { epoch, type GuestName, sessionId, term } from '../../../shared/ids.ts';

const here = '00000000000000a1';
const there = '00000000000000b2';
const session = sessionId('00000000000000cc');
const record: TermRecord = {
  guest: 'g' as GuestName,
  term: term(7),
  holder: here,
  mode: 'protected',
  nonce: '0'.repeat(32),
  session,
  baseEpoch: epoch(1),
  at: '2026-01-02T03:04:05.678Z',
};
const primary: ProtectionFacts = {
  role: 'primary',
  state: 'protected',
  cause: 'term won',
  host: here,
  latest: record,
  undecided: false,
  peerAlive: true,
  peerActivity: 'protecting',
  heldSession: null,
  takeoverEnabled: false,
  outputRule: 'commit',
  lastProblem: null,
};
const backup: ProtectionFacts = {
  ...primary,
  role: 'backup',
  state: 'protecting',
  latest: { ...record, holder: there },
  heldSession: session,
  takeoverEnabled: true,
};

test('a primary in its protected term with a living backup is protected', (t) => {
  t.is(whyNotProtected(primary), null);
});

test('acknowledgements that flow protect also while the arbiter is away', (t) => {
  t.is(whyNotProtected({ ...primary, latest: undefined }), null);
});

test('a backup that holds the epoch of the highest term protects', (t) => {
  t.is(whyNotProtected(backup), null);
});

test('while a creation of a term is undecided, nothing is protected', (t) => {
  t.regex(whyNotProtected({ ...primary, undecided: true }) ?? '', /not decided/);
  t.regex(whyNotProtected({ ...backup, undecided: true }) ?? '', /not decided/);
});

for (const [what, facts, pattern] of [
  ['a primary whose backup is silent', { ...primary, peerAlive: false }, /backup/],
  [
    'a primary whose term was followed',
    { ...primary, latest: { ...record, holder: there } },
    /other/,
  ],
  ['a primary that answers too soon', { ...primary, outputRule: 'unsafe' }, /UNSAFE: output\.rule/],
  ['a primary that waits for a term', { ...primary, state: 'claiming' }, /held meanwhile/],
  ['a primary without a backup', { ...primary, state: 'joining' }, /no backup/],
  ['a primary with a backup behind', { ...primary, state: 'synchronising' }, /level/],
  ['a primary that hands over', { ...primary, state: 'handing-over' }, /handed over/],
  ['a primary before its protected term', { ...primary, state: 'enrolling' }, /not won/],
  ['an agent that starts', { ...primary, role: null }, /starting/],
  ['a primary whose guest ended', { ...primary, state: 'stopped', cause: 'x' }, /stopped: x/],
  ['a backup that hears nothing', { ...backup, peerAlive: false }, /primary/],
  ['a backup of an unprotected primary', { ...backup, peerActivity: 'joining' }, /joining/],
  ['a backup that may not act', { ...backup, takeoverEnabled: false }, /takeover\.enabled/],
  ['a backup that waits', { ...backup, state: 'waiting' }, /no primary/],
  ['a backup that was restarted', { ...backup, state: 'expecting' }, /was restarted/],
  ['a backup behind', { ...backup, state: 'synchronising' }, /level/],
  ['a backup that takes over', { ...backup, state: 'taking-over' }, /taken over/],
  ['a backup without the record', { ...backup, latest: undefined }, /record/],
  ['a backup before the first term', { ...backup, latest: null }, /no term/],
  [
    'a backup that the primary went on without',
    { ...backup, latest: { ...record, holder: there, mode: 'solo', session: null } },
    /solo/,
  ],
  [
    'a backup with an epoch of another session',
    { ...backup, heldSession: sessionId('00000000000000dd') },
    /without the epoch/,
  ],
  ['a paused primary', { ...primary, latest: { ...record, mode: 'paused' } }, /paused/],
  ['a paused backup', { ...backup, latest: { ...record, mode: 'paused' } }, /paused/],
] as const satisfies readonly (readonly [string, ProtectionFacts, RegExp])[]) {
  test(`${what} does not say "protected", and says why`, (t) => {
    t.regex(whyNotProtected(facts) ?? 'protected', pattern);
  });
}

test('what went wrong last is told with it', (t) => {
  const lastProblem = { at: '', code: 'E_X', message: 'the disk is full', hint: '' };
  t.regex(whyNotProtected({ ...primary, state: 'joining', lastProblem }) ?? '', /disk is full/);
});
