import test from 'ava';
import fc from 'fast-check';
import {
  type BackupEffect,
  type BackupEvent,
  type BackupState,
  initialBackupState,
  stepBackup,
} from '../../backup/machine.ts';
import { bounds } from '../../shared/bounds.ts';
import { epoch, sessionId } from '../../shared/ids.ts';

const peer = { agent: 'a', instance: 'i', session: sessionId('00000000000000aa') };
const sameGuest = { agent: 'b', instance: 'i', session: sessionId('00000000000000bb') };
const stranger = { agent: 'z', instance: 'j', session: sessionId('00000000000000cc') };
const { session } = peer;

function run(
  events: readonly BackupEvent[],
  from: BackupState = initialBackupState,
  takeoverEnabled = true,
) {
  let state = from;
  const effects: BackupEffect[] = [];
  for (const event of events) {
    const step = stepBackup(state, event, { takeoverEnabled });
    state = step.state;
    effects.push(...step.effects);
  }
  return { state, effects, kinds: effects.map((effect) => effect.kind) };
}

const hello: BackupEvent = { kind: 'hello', peer, peerAlive: false, whole: false };
const committed: BackupEvent = { kind: 'committed', session, epoch: epoch(7) };

test('an epoch is acknowledged when it is committed, and then the guest is protected', (t) => {
  const { state, effects } = run([hello, committed]);
  t.is(state.name, 'protecting');
  t.deepEqual(effects.at(-1), { kind: 'acknowledge', session, epoch: epoch(7) });
});

test('silence of the primary leads to a claim, and the guest runs only when it is won', (t) => {
  const silent = run([hello, committed, { kind: 'peer-silent' }]);
  t.is(silent.state.name, 'taking-over');
  t.deepEqual(silent.kinds.slice(-1), ['claim']);
  t.deepEqual(run([{ kind: 'claim-won' }], silent.state).kinds, ['resume-guest']);
  t.is(run([{ kind: 'claim-lost', holder: 'p' }], silent.state).state.name, 'waiting');
});

test('nothing is acknowledged once a takeover began', (t) => {
  const { kinds } = run([hello, committed, { kind: 'peer-silent' }, committed]);
  t.is(kinds.filter((kind) => kind === 'acknowledge').length, 1);
});

test('half a synchronisation is never resumed, an older whole epoch is', (t) => {
  t.is(run([hello, { kind: 'peer-silent' }]).state.name, 'waiting');
  const whole: BackupEvent = { kind: 'hello', peer: sameGuest, peerAlive: true, whole: true };
  t.is(run([hello, committed, whole, { kind: 'peer-silent' }]).state.name, 'taking-over');
  const givenUp: BackupEvent = { kind: 'older-epoch-given-up', session: sameGuest.session };
  t.is(run([hello, committed, whole, givenUp, { kind: 'peer-silent' }]).state.name, 'waiting');
});

test('a primary whose session was given up is asked for another until it comes', (t) => {
  const over = (state: BackupState) => ('over' in state ? state.over.session : undefined);
  const silent = run([hello, { kind: 'peer-silent' }]);
  t.is(silent.kinds.at(-1), 'ask-new-session');
  t.is(over(silent.state), session);
  const lost = run([
    hello,
    committed,
    { kind: 'peer-silent' },
    { kind: 'claim-lost', holder: 'p' },
  ]);
  t.is(lost.kinds.at(-1), 'ask-new-session');
  t.is(over(lost.state), session);
  const failed = run([hello, committed, { kind: 'epoch-failed', session, cause: 'digest' }]);
  t.is(over(failed.state), session);
  const next: BackupEvent = { kind: 'hello', peer: sameGuest, peerAlive: true, whole: false };
  const level: BackupEvent = { ...committed, session: sameGuest.session };
  for (const { state } of [silent, lost, failed]) {
    t.is(over(run([next], state).state), session, 'it may have been a HELLO that came late');
    t.is(over(run([next, level], state).state), undefined);
  }
});

test('a HELLO that comes twice or late costs a session at most, never the protection', (t) => {
  const again = run([hello, committed, hello]);
  t.is(again.state.name, 'protecting');
  t.is(again.kinds.filter((kind) => kind === 'welcome').length, 1);
  const gone = run([hello, { kind: 'peer-silent' }]);
  t.deepEqual(run([hello], gone.state).state, gone.state);
  const late: BackupEvent = { kind: 'hello', peer: sameGuest, peerAlive: true, whole: true };
  const { state } = run([hello, committed, late]);
  t.is('over' in state && state.over.session, session, 'its primary is told');
});

test('a primary that stood down is not taken over', (t) => {
  const { state } = run([
    hello,
    committed,
    { kind: 'stood-down', agent: 'a', reason: 'maintenance' },
    { kind: 'peer-silent' },
  ]);
  t.is(state.name, 'waiting');
});

test('an agent that was restarted beside the same guest is no second primary', (t) => {
  const restarted: BackupEvent = { kind: 'hello', peer: sameGuest, peerAlive: true, whole: true };
  const { kinds, state } = run([hello, committed, restarted]);
  t.is(kinds.at(-1), 'welcome');
  t.true(state.name === 'synchronising' && state.whole);
});

test('a second primary is refused while the first lives, and welcome when it does not', (t) => {
  const second = (peerAlive: boolean): BackupEvent => ({
    kind: 'hello',
    peer: stranger,
    peerAlive,
    whole: false,
  });
  const refused = run([hello, committed, second(true)]);
  t.is(refused.state.name, 'protecting');
  t.deepEqual(refused.effects.at(-1), {
    kind: 'refuse',
    peer: stranger,
    reason: 'other-primary-alive',
  });
  t.is(run([hello, committed, second(false)]).kinds.at(-1), 'welcome');
});

test('a guest that was resumed makes this side the primary', (t) => {
  const { state, kinds } = run([
    hello,
    committed,
    { kind: 'peer-silent' },
    { kind: 'claim-won' },
    { kind: 'resumed', epoch: epoch(7) },
  ]);
  t.true(state.name === 'stopped' && state.outcome.kind === 'took-over');
  t.is(kinds.at(-1), 'finish');
});

test('with takeover switched off, silence changes nothing', (t) => {
  const { state } = run([hello, committed, { kind: 'peer-silent' }], undefined, false);
  t.is(state.name, 'protecting');
});

test('an agent asked to stop in a takeover ends after the guest runs, not before', (t) => {
  const asked = run([hello, committed, { kind: 'peer-silent' }, { kind: 'stop' }]);
  t.is(asked.state.name, 'taking-over');
  const { state } = run([{ kind: 'claim-won' }, { kind: 'resumed', epoch: epoch(7) }], asked.state);
  t.is(state.name, 'stopped');
});

test('a backup that is stopped tells the primary of its session, before it ends', (t) => {
  for (const before of [[hello], [hello, committed]]) {
    const { kinds } = run([...before, { kind: 'stop' }]);
    t.deepEqual(kinds.slice(-2), ['ask-new-session', 'finish']);
  }
  t.deepEqual(run([{ kind: 'stop' }]).kinds, ['finish'], 'there is nobody to tell');
});

test('a term that an earlier process won is used, and only where nothing else is under way', (t) => {
  const held: BackupEvent = { kind: 'term-held', session };
  const { state, kinds } = run([held]);
  t.is(state.name, 'taking-over');
  t.deepEqual(kinds, ['resume-guest'], 'without another claim');
  for (const before of [[hello], [hello, committed], [held], [{ kind: 'stop' }]] as const) {
    t.false(run([held], run(before).state).kinds.includes('resume-guest'));
  }
});

test('an epoch that an earlier process held is resumed if no primary is heard, by a claim', (t) => {
  const found: BackupEvent = { kind: 'epoch-found', session };
  const { state, kinds } = run([found]);
  t.is(state.name, 'expecting');
  t.deepEqual(kinds, ['expect-primary']);
  t.deepEqual(run([{ kind: 'peer-silent' }], state).kinds, ['claim']);
  t.is(run([{ kind: 'peer-silent' }], state, false).state.name, 'expecting', 'takeover disabled');
  const lost = run([{ kind: 'peer-silent' }, { kind: 'claim-lost', holder: 'p' }], state);
  t.is(lost.state.name, 'waiting');
  t.is(run([{ kind: 'stood-down', agent: 'a', reason: 'x' }], state).state.name, 'waiting');
  t.is(run([hello], state).state.name, 'synchronising');
  t.is(run([found], run([hello]).state).state.name, 'synchronising', 'a primary was faster');
});

test('a guest that could not be loaded is tried again with another standby, and not for ever', (t) => {
  const toWon: BackupEvent[] = [hello, committed, { kind: 'peer-silent' }, { kind: 'claim-won' }];
  const failed = (code: string): BackupEvent => ({ kind: 'takeover-failed', code });
  const again = run([...toWon, failed('E_STANDBY_REFUSED'), { kind: 'stop' }]);
  t.deepEqual(again.kinds.slice(-2), ['discard-prepared', 'resume-guest']);
  const { state } = run([{ kind: 'resumed', epoch: epoch(7) }], again.state);
  t.true(state.name === 'stopped' && state.outcome.kind === 'released');

  const { takeoverAttemptsMax } = bounds;
  const often = Array.from({ length: takeoverAttemptsMax }, () => failed('E_STANDBY_GONE'));
  t.is(run([...toWon, ...often.slice(1)]).state.name, 'taking-over');
  const given = run([...toWon, ...often]);
  t.is(given.kinds.filter((kind) => kind === 'resume-guest').length, takeoverAttemptsMax);
  t.true(given.state.name === 'stopped' && given.state.outcome.kind === 'takeover-failed');
  t.is(run([...toWon, failed('E_TAKEOVER_DIGEST')]).state.name, 'stopped', 'damaged for good');
});

test('a guest that is handed over is loaded before the claim, and given back if that fails', (t) => {
  const handOver: BackupEvent = { kind: 'hand-over', session, epoch: epoch(7) };
  const won = run([hello, committed, handOver, { kind: 'prepared' }, { kind: 'claim-won' }]);
  t.deepEqual(won.kinds.slice(-3), ['prepare-guest', 'claim', 'resume-guest']);
  for (const failure of [
    [{ kind: 'prepare-failed', code: 'E_X' }],
    [{ kind: 'prepared' }, { kind: 'claim-lost', holder: 'p' }],
  ] satisfies BackupEvent[][]) {
    const lost = run([hello, committed, handOver, ...failure]);
    t.is(lost.state.name, 'waiting');
    t.deepEqual(lost.kinds.slice(-3), ['discard-prepared', 'refuse-handover', 'ask-new-session']);
  }
});

test('a handover of another epoch, or before this side is level, is refused', (t) => {
  const early: BackupEvent = { kind: 'hand-over', session, epoch: epoch(6) };
  for (const before of [[], [hello], [hello, committed]]) {
    const { kinds, state } = run([...before, early]);
    t.is(kinds.at(-1), 'refuse-handover');
    t.not(state.name, 'taking-over');
  }
});

test('in any order of events the guest runs at most once, and only after a won claim', (t) => {
  const anEvent = fc.constantFrom<BackupEvent>(
    hello,
    { kind: 'hello', peer: stranger, peerAlive: true, whole: false },
    { kind: 'hello', peer: sameGuest, peerAlive: true, whole: true },
    committed,
    { kind: 'epoch-failed', session, cause: 'digest' },
    { kind: 'stood-down', agent: 'a', reason: 'x' },
    { kind: 'peer-silent' },
    { kind: 'claim-lost', holder: 'p' },
    { kind: 'hand-over', session, epoch: epoch(7) },
    { kind: 'prepared' },
    { kind: 'prepare-failed', code: 'E_X' },
    { kind: 'epoch-found', session },
  );
  fc.assert(
    fc.property(fc.array(anEvent, { maxLength: 40 }), (events) => {
      const { kinds, state } = run(events);
      return !kinds.includes('resume-guest') && state.name !== 'stopped';
    }),
  );
  t.pass();
});
