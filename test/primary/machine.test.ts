import test from 'ava';
import fc from 'fast-check';
import {
  type BackupLossPolicy,
  initialPrimaryState,
  type PrimaryEffect,
  type PrimaryEvent,
  type PrimaryState,
  stepPrimary,
} from '../../primary/machine.ts';
import { epoch, sessionId } from '../../shared/ids.ts';

const inFlightMax = 2;
const session = sessionId('00000000000000aa');
const other = sessionId('00000000000000bb');

function run(
  events: readonly PrimaryEvent[],
  from: PrimaryState = initialPrimaryState,
  onBackupLost: BackupLossPolicy = 'continue',
) {
  let state = from;
  const effects: PrimaryEffect[] = [];
  for (const event of events) {
    const step = stepPrimary(state, event, inFlightMax, onBackupLost);
    state = step.state;
    effects.push(...step.effects);
  }
  return { state, effects, kinds: effects.map((effect) => effect.kind) };
}

const solo: PrimaryEvent = { kind: 'term-won', mode: 'solo' };
const paused: PrimaryEvent = { kind: 'term-won', mode: 'paused' };
const enrolled: PrimaryEvent = { kind: 'term-won', mode: 'protected', session };
const toProtected: PrimaryEvent[] = [
  { kind: 'start' },
  solo,
  { kind: 'welcomed', session },
  { kind: 'synchronised', session, epoch: epoch(1) },
  enrolled,
];

test('a backup that answers is brought level, then checkpoints begin', (t) => {
  const { state, kinds } = run([...toProtected, { kind: 'interval-passed' }]);
  t.is(state.name, 'protected');
  t.deepEqual(kinds, [
    ...['claim-solo', 'free-output', 'greet', 'synchronise', 'claim-protected'],
    ...['release-output', 'start-first-interval', 'start-interval', 'checkpoint'],
  ]);
});

test('no more epochs are in flight than allowed, and the next starts with the acknowledgement', (t) => {
  const busy: PrimaryEvent[] = [
    { kind: 'interval-passed' },
    { kind: 'published', session, epoch: epoch(2) },
    { kind: 'interval-passed' },
    { kind: 'published', session, epoch: epoch(3) },
    { kind: 'interval-passed' },
  ];
  const held = run([...toProtected, ...busy]);
  t.is(held.kinds.filter((kind) => kind === 'checkpoint').length, 2);
  const freed = run([{ kind: 'acked', session, epoch: epoch(2) }], held.state);
  t.deepEqual(
    freed.effects.find((effect) => effect.kind === 'checkpoint'),
    { kind: 'checkpoint', session, epoch: epoch(4) },
  );
});

test('a checkpoint never starts while another is taken or published', (t) => {
  const { kinds } = run([
    ...toProtected,
    { kind: 'interval-passed' },
    { kind: 'interval-passed' },
    { kind: 'interval-passed' },
  ]);
  t.is(kinds.filter((kind) => kind === 'checkpoint').length, 1);
});

test('a broken session is closed and a new one is sought; its late answers mean nothing', (t) => {
  const { state, kinds } = run([
    ...toProtected,
    { kind: 'broken', session, cause: 'the backup is silent' },
    { kind: 'acked', session, epoch: epoch(1) },
    { kind: 'published', session, epoch: epoch(1) },
    { kind: 'interval-passed' },
  ]);
  t.is(state.name, 'claiming');
  t.deepEqual(kinds.slice(-2), ['close-session', 'claim-solo']);
});

test('what happened to another session does not touch this one', (t) => {
  const { state } = run([...toProtected, { kind: 'broken', session: other, cause: 'late' }]);
  t.is(state.name, 'protected');
});

test('stopping says so to the backup before it falls silent', (t) => {
  const { state, kinds } = run([...toProtected, { kind: 'stop' }]);
  t.is(state.name, 'stopped');
  t.deepEqual(kinds.slice(-3), ['close-session', 'stand-down', 'finish']);
});

test('a guest whose QEMU died is left to the backup: nobody stands down', (t) => {
  const { kinds } = run([...toProtected, { kind: 'guest-lost', reason: 'SIGKILL' }]);
  t.false(kinds.includes('stand-down'));
  t.is(kinds.at(-1), 'finish');
});

test('held output goes out with acknowledgements, of the epoch that the term starts from too', (t) => {
  const { effects } = run([
    ...toProtected,
    { kind: 'interval-passed' },
    { kind: 'published', session, epoch: epoch(2) },
    { kind: 'acked', session, epoch: epoch(2) },
  ]);
  const released = effects.filter(({ kind }) => kind === 'release-output');
  t.deepEqual(released, [
    { kind: 'release-output', epoch: epoch(1) },
    { kind: 'release-output', epoch: epoch(2) },
  ]);
});

test('without a backup nothing goes out until a solo term is won', (t) => {
  const broken = run([...toProtected, { kind: 'broken', session, cause: 'silent' }]);
  t.false(broken.kinds.slice(broken.kinds.indexOf('claim-protected')).includes('free-output'));
  t.deepEqual(run([solo], broken.state).kinds, ['free-output', 'greet']);
});

test('a synchronisation that fails lets out what its last checkpoint held', (t) => {
  const { kinds } = run([
    ...toProtected.slice(0, 3),
    { kind: 'broken', session, cause: 'the backup is silent' },
  ]);
  t.deepEqual(kinds.slice(-3), ['close-session', 'free-output', 'greet']);
});

test('a copy that was superseded is stopped', (t) => {
  const { kinds } = run([{ kind: 'start' }, { kind: 'superseded', by: 'backup' }]);
  t.deepEqual(kinds, ['claim-solo', 'drop-output', 'stop-guest', 'finish']);
});

test('an acknowledgement of an epoch that was never captured is a broken invariant', (t) => {
  t.throws(() => run([...toProtected, { kind: 'acked', session, epoch: epoch(9) }]), {
    message: /before it was captured/,
  });
});

test('a switchover takes one more checkpoint, then the last one, and asks once that is acknowledged', (t) => {
  const asked = run([...toProtected, { kind: 'switchover' }]);
  t.is(asked.kinds.at(-1), 'checkpoint');
  const early = run([{ kind: 'acked', session, epoch: epoch(2) }], asked.state);
  t.false(early.kinds.includes('last-checkpoint'), 'the one more is still being published');
  const paused = run([{ kind: 'published', session, epoch: epoch(2) }], early.state);
  t.is(paused.state.name, 'handing-over');
  t.deepEqual(paused.effects, [{ kind: 'last-checkpoint', session, epoch: epoch(3) }]);
  const acked: PrimaryEvent = { kind: 'acked', session, epoch: epoch(3) };
  const handed = run([acked, acked, { kind: 'interval-passed' }], paused.state);
  t.deepEqual(handed.effects, [
    { kind: 'release-output', epoch: epoch(3) },
    { kind: 'hand-over', session, epoch: epoch(3) },
  ]);
  const over = run([{ kind: 'superseded', by: 'b' }], handed.state);
  t.true(over.state.name === 'stopped' && over.state.outcome.kind === 'superseded');
  t.deepEqual(over.kinds, ['drop-output', 'close-session', 'stop-guest', 'finish']);
});

test('a handover that fails takes a term before the guest goes on here', (t) => {
  const { state } = run([
    ...toProtected,
    { kind: 'switchover' },
    { kind: 'published', session, epoch: epoch(2) },
    { kind: 'acked', session, epoch: epoch(2) },
    { kind: 'acked', session, epoch: epoch(3) },
  ]);
  for (const kind of ['handover-failed', 'broken'] as const) {
    const failed = run([{ kind, session, cause: 'no answer' }], state);
    t.deepEqual(failed.kinds, ['close-session', 'claim-solo']);
    t.deepEqual(run([solo], failed.state).kinds, ['free-output', 'greet']);
  }
});

test('in any order of events flight is bounded and output is free in solo terms only', (t) => {
  const anEvent: fc.Arbitrary<PrimaryEvent> = fc.oneof(
    fc.constant<PrimaryEvent>({ kind: 'interval-passed' }),
    fc.constant<PrimaryEvent>({ kind: 'switchover' }),
    fc.constant<PrimaryEvent>({ kind: 'handover-failed', session, cause: 'x' }),
    fc.constantFrom<PrimaryEvent>(solo, enrolled, paused),
    fc.constantFrom('pause', 'resume').map((kind): PrimaryEvent => ({ kind })),
    fc.constantFrom(session, other).map((s): PrimaryEvent => ({ kind: 'welcomed', session: s })),
    fc
      .constantFrom(session, other)
      .map((s): PrimaryEvent => ({ kind: 'synchronised', session: s, epoch: epoch(1) })),
    fc
      .constantFrom(session, other)
      .map((s): PrimaryEvent => ({ kind: 'broken', session: s, cause: 'x' })),
    fc.constant<PrimaryEvent>({ kind: 'published', session, epoch: epoch(1) }),
    fc.nat(3).map((back): PrimaryEvent => ({ kind: 'acked', session, epoch: epoch(-back) })),
  );
  fc.assert(
    fc.property(fc.array(anEvent, { maxLength: 60 }), (events) => {
      let { state } = run([{ kind: 'start' }]);
      let isFree = false;
      // From a solo or paused term on, until a protected one is asked for.
      let isSolo = false;
      for (const drawn of events) {
        // Acknowledgements refer to what was captured: −n means "n before the newest".
        const event =
          drawn.kind === 'acked' && state.name === 'protected'
            ? { ...drawn, epoch: epoch(Math.max(1, state.captured + drawn.epoch)) }
            : drawn;
        const step = stepPrimary(state, event, inFlightMax);
        state = step.state;
        // The session holds output at the last checkpoint, before `synchronised` can come.
        if (event.kind === 'synchronised') isFree = false;
        if (step.effects.some(({ kind }) => kind === 'free-output')) isFree = true;
        if (state.name === 'joining' || state.name === 'paused') isSolo = true;
        if (state.name === 'enrolling') isSolo = false;
        if (isFree && !isSolo) return false;
        if (state.name !== 'protected') continue;
        if (state.acked > state.captured) return false;
        if (state.captured - state.acked > inFlightMax) return false;
      }
      return true;
    }),
  );
  t.pass();
});

const lost: PrimaryEvent = { kind: 'broken', session, cause: 'the backup is silent' };

test('with the policy stop a guest whose backup is lost waits, and says nothing, until it is protected', (t) => {
  const { state, kinds } = run([...toProtected, lost, solo], initialPrimaryState, 'stop');
  t.deepEqual(state, { name: 'joining', waits: true });
  t.deepEqual(kinds.slice(-4), ['close-session', 'wait-for-backup', 'claim-solo', 'greet']);
  const again = run(
    [
      { kind: 'welcomed', session: other },
      { kind: 'broken', session: other, cause: 'it went again' },
      { kind: 'welcomed', session },
      { kind: 'synchronised', session, epoch: epoch(1) },
      enrolled,
    ],
    state,
    'stop',
  );
  t.is(again.state.name, 'protected');
  t.false(again.kinds.includes('free-output'));
  t.deepEqual(again.kinds.slice(-3), ['release-output', 'end-wait', 'start-first-interval']);
});

test('with the policy stop an operator lets the guest go on, or ends its agent and leaves it running', (t) => {
  const { state } = run([...toProtected, lost, solo], initialPrimaryState, 'stop');
  const free = run([{ kind: 'go-on' }], state, 'stop');
  t.deepEqual(free.state, { name: 'joining' });
  t.deepEqual(free.kinds, ['end-wait', 'free-output']);
  t.deepEqual(run([{ kind: 'stop' }], state, 'stop').kinds, ['stand-down', 'finish']);
  t.deepEqual(run([{ kind: 'superseded', by: 'b' }], state, 'stop').kinds, [
    ...['drop-output', 'stop-guest', 'finish'],
  ]);
});

test('a guest that never was protected does not wait for a backup', (t) => {
  const begun = [...toProtected.slice(0, 4), lost];
  t.false(run(begun, initialPrimaryState, 'stop').kinds.includes('wait-for-backup'));
});

test('a pause holds output until the record has it; then the guest runs, and no epoch is taken', (t) => {
  const asked = run([...toProtected, { kind: 'pause' }]);
  t.deepEqual(asked.state, { name: 'claiming', pauses: true });
  t.deepEqual(asked.kinds.slice(-2), ['close-session', 'claim-paused']);
  // A term that was asked for before may come first: it is not the one that is waited for.
  const late = run([solo, enrolled], asked.state);
  t.deepEqual(late.state, asked.state);
  t.deepEqual(late.kinds, []);
  const done = run([paused, { kind: 'interval-passed' }, lost], asked.state);
  t.deepEqual(done.state, { name: 'paused' });
  t.deepEqual(done.kinds, ['free-output', 'stand-down']);
});

test('a pause before anything is protected does not hold the guest up', (t) => {
  const before = run(toProtected.slice(0, 3));
  t.is(before.state.name, 'synchronising');
  const { kinds } = run([{ kind: 'pause' }], before.state);
  t.deepEqual(kinds, ['close-session', 'free-output', 'claim-paused']);
});

test('a pause lets a guest go on that waited for its backup', (t) => {
  const waiting = run([...toProtected, lost, solo], initialPrimaryState, 'stop');
  const { state, kinds } = run([{ kind: 'pause' }, paused], waiting.state);
  t.is(state.name, 'paused');
  t.deepEqual(kinds.slice(0, 3), ['end-wait', 'free-output', 'claim-paused']);
});

test('an agent that starts keeps the pause of the record, and only resume ends it', (t) => {
  const started = run([{ kind: 'start' }]);
  t.deepEqual(started.effects, [{ kind: 'claim-solo', keepsPause: true }]);
  const kept = run([paused], started.state);
  t.is(kept.state.name, 'paused');
  const resumed = run([{ kind: 'resume' }], kept.state);
  t.deepEqual(resumed.effects, [{ kind: 'claim-solo', keepsPause: false }]);
  t.is(run([solo], resumed.state).state.name, 'joining');
});

test('what is paused or resumed already stays so', (t) => {
  const kept = run([{ kind: 'start' }, paused]);
  t.deepEqual(run([{ kind: 'pause' }], kept.state).effects, []);
  const protectedState = run(toProtected).state;
  t.deepEqual(run([{ kind: 'resume' }], protectedState).effects, []);
});
