import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { LoggedMark } from '../../backup/input/logged-mark.ts';
import type { Checkpoint } from '../../backup/store/replica-state.ts';
import type { ReplicaStore } from '../../backup/store/replica-store.ts';
import { TakeoverClaim } from '../../backup/takeover-claim.ts';
import type { TermClaims } from '../../shared/arbiter/term-claims.ts';
import type { TermRecord } from '../../shared/arbiter/term-record.ts';
import { epoch, sessionId, term } from '../../shared/ids.ts';
import { exampleRecord } from '../shared/arbiter/term-example.ts';

const [here, there] = ['00000000000000f2', '00000000000000f1'];
const session = sessionId('00000000000000aa');
const other = sessionId('00000000000000bb');
const held: Checkpoint = { session, epoch: epoch(7), term: term(3), ramDigest: 1n };
const protectedTerm: Partial<TermRecord> = { holder: there, mode: 'protected', session };
const own: Partial<TermRecord> = { holder: here, mode: 'solo', session, baseEpoch: epoch(7) };
const never = new AbortController().signal;

interface Case {
  readonly latest: Partial<TermRecord> | null;
  readonly held: Checkpoint | null;
  readonly loggedMark?: LoggedMark;
  readonly speaksAlone?: boolean;
}

/** A process that has just started. */
function started({ latest, held, loggedMark, speaksAlone = false }: Case) {
  const record = latest === null ? null : { ...exampleRecord(4, 'x'), ...latest };
  const codes: string[] = [];
  const claim = new TakeoverClaim({
    claims: {
      latest: async () => record,
      claim: async () => ({ won: false, latest: record }),
    } as unknown as TermClaims,
    store: { holds: () => held, takenOver: () => null } as unknown as ReplicaStore,
    host: here,
    emit: (event) => {
      if (event.kind === 'warning') codes.push(event.code);
    },
    settings: { speaksAlone },
    ...(loggedMark === undefined ? {} : { loggedMark }),
  });
  return { claim, codes };
}

test('an epoch counts after a restart where the highest term is protected and about it', async (t) => {
  const found = { kind: 'epoch-found', session } as const;
  t.deepEqual(await started({ latest: protectedTerm, held }).claim.recall(never), found);
  for (const latest of [
    null,
    { ...protectedTerm, session: other },
    { ...protectedTerm, mode: 'solo' },
    { ...protectedTerm, mode: 'paused' },
  ] as const) {
    const { claim, codes } = started({ latest, held });
    t.is(await claim.recall(never), undefined);
    t.deepEqual(codes, [], 'its primary greets');
  }
  t.is(await started({ latest: protectedTerm, held: null }).claim.recall(never), undefined);
});

test('an own takeover goes on after a restart with the epoch that it names, and no other', async (t) => {
  const { claim } = started({ latest: own, held });
  t.deepEqual(await claim.recall(never), { kind: 'term-held', session });
  t.is(claim.term, term(4));
  for (const [latest, store] of [
    [own, null],
    [own, { ...held, session: other }],
    [own, { ...held, epoch: epoch(6) }],
    [{ ...own, session: null }, held],
  ] as const) {
    const { claim, codes } = started({ latest, held: store });
    t.is(await claim.recall(never), undefined);
    t.deepEqual(codes, ['E_TAKEOVER_LOST']);
    t.is((await claim.claim(never)).kind, 'claim-lost');
  }
  const later = started({ latest: { ...own, session: null, baseEpoch: epoch(0) }, held });
  t.is(await later.claim.recall(never), undefined, 'the guest ran: its primary had another term');
  t.deepEqual(later.codes, []);
});

test('a claim of an earlier process that took effect late is won', async (t) => {
  const { claim } = started({ latest: own, held });
  t.deepEqual(await claim.claim(never), { kind: 'claim-won' });
  t.is(claim.term, term(4));
  const foreign = started({ latest: { ...own, holder: there }, held });
  t.deepEqual(await foreign.claim.claim(never), { kind: 'claim-lost', holder: there });
});

test('an epoch that does not cover what the guest has said is refused by name', async (t) => {
  const folder = mkdtempSync(join('/dev/shm', 'understudy-test-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'input-logged');
  new LoggedMark(path).set(session);
  const loggedMark = new LoggedMark(path);
  t.false(loggedMark.has(other));
  for (const [options, code] of [
    [{ latest: protectedTerm, held, loggedMark }, 'E_EPOCH_UNCOVERED'],
    [{ latest: own, held, loggedMark }, 'E_TAKEOVER_LOST'],
    [{ latest: protectedTerm, held, speaksAlone: true }, 'E_EPOCH_UNCOVERED'],
  ] as const) {
    const { claim, codes } = started(options);
    t.is(await claim.recall(never), undefined);
    t.deepEqual(codes, [code]);
  }
  const won = started({ latest: own, held, speaksAlone: true });
  t.is((await won.claim.recall(never))?.kind, 'term-held', 'its term is won: nobody else may');
});
