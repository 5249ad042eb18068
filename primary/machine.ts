import { type Epoch, epoch, type SessionId } from '../shared/ids.ts';
import { endWait, goOn, pause, resume } from './operator-steps.ts';
import type {
  BackupLossPolicy,
  MayWait,
  PrimaryEffect,
  PrimaryEvent,
  PrimaryOutcome,
  PrimaryState,
  PrimaryStep,
  ProtectedState,
} from './protocol.ts';

export type * from './protocol.ts';

/**
 * The primary's protocol as a pure state machine: no I/O, no clock, no timer. The agent turns
 * what happens into events and executes the effects.
 *
 * Invariant: acked ≤ captured, and captured − acked ≤ epochsInFlightMax.
 * Invariant: output is free only in `joining` and `synchronising`, that is in a term that this side
 * created as `solo`, and in the latter only until its last checkpoint (the session sees to that: what
 * the guest says after the checkpoint that the protected term starts from is not covered by it). In
 * `protected` it goes out with the acknowledgement; everywhere else it is held.
 *
 * A session that is in doubt is never mended: it is closed, and the next one brings the backup
 * level by comparing digests, so that the hash index never claims more than the backup holds.
 */
export const initialPrimaryState: PrimaryState = { name: 'claiming' };

/** One step. Throws on an event that can't happen in the state. */
export function stepPrimary(
  state: PrimaryState,
  event: PrimaryEvent,
  epochsInFlightMax: number,
  onBackupLost: BackupLossPolicy = 'continue',
): PrimaryStep {
  if (state.name === 'stopped') return { state, effects: [] };
  switch (event.kind) {
    case 'stop':
      return finish(
        state,
        { kind: 'released' },
        {
          kind: 'stand-down',
          reason: 'the primary agent was stopped; the guest goes on',
        },
      );
    case 'guest-ended':
      return finish(
        state,
        { kind: 'guest-ended', reason: event.reason },
        {
          kind: 'stand-down',
          reason: `the guest ended: ${event.reason}`,
        },
      );
    case 'guest-lost':
      return finish(state, { kind: 'guest-lost', reason: event.reason });
    case 'superseded': {
      const { effects, ...step } = finish(
        state,
        { kind: 'superseded', by: event.by, planned: state.name === 'handing-over' },
        { kind: 'stop-guest' },
      );
      return { ...step, effects: [{ kind: 'drop-output' }, ...effects] };
    }
    case 'go-on':
      return goOn(state);
    case 'pause':
      return pause(state);
    case 'resume':
      return resume(state);
    default:
  }
  switch (state.name) {
    case 'claiming':
      return stepClaiming(state, event);
    case 'paused':
      return ignoreStale(state, event);
    case 'joining':
      return stepJoining(state, event);
    case 'enrolling':
      return stepEnrolling(state, event);
    case 'synchronising':
      return stepSynchronising(state, event);
    case 'protected':
      return stepProtected(state, event, epochsInFlightMax, onBackupLost);
    case 'handing-over':
      return stepHandingOver(state, event, onBackupLost);
  }
}

function stepClaiming(
  state: PrimaryState & { name: 'claiming' },
  event: PrimaryEvent,
): PrimaryStep {
  // A pause outlives the agent: the record keeps it.
  if (event.kind === 'start') return { state, effects: [{ kind: 'claim-solo', keepsPause: true }] };
  if (event.kind !== 'term-won') return ignoreStale(state, event);
  if (event.mode === 'paused') {
    const reason = 'paused by an operator: no takeover until the primary is resumed';
    return {
      state: { name: 'paused' },
      effects: [{ kind: 'free-output' }, { kind: 'stand-down', reason }],
    };
  }
  if (event.mode !== 'solo' || state.pauses === true) return { state, effects: [] };
  return {
    state: { name: 'joining', ...waitOf(state) },
    effects: [...freeUnlessWaiting(state), { kind: 'greet' }],
  };
}

function stepJoining(state: PrimaryState & { name: 'joining' }, event: PrimaryEvent): PrimaryStep {
  switch (event.kind) {
    case 'welcomed':
      return {
        state: { name: 'synchronising', session: event.session, ...waitOf(state) },
        effects: [{ kind: 'synchronise', session: event.session }],
      };
    case 'refused': {
      const { code, message, hint } = event;
      return finish(state, { kind: 'refused', code, message, hint });
    }
    default:
      return ignoreStale(state, event);
  }
}

function stepSynchronising(
  state: PrimaryState & { name: 'synchronising' },
  event: PrimaryEvent,
): PrimaryStep {
  switch (event.kind) {
    case 'synchronised': {
      if (event.session !== state.session) return { state, effects: [] };
      const { session } = state;
      return {
        state: { name: 'enrolling', session, epoch: event.epoch, ...waitOf(state) },
        effects: [{ kind: 'claim-protected', session, epoch: event.epoch }],
      };
    }
    case 'broken': {
      if (event.session !== state.session) return { state, effects: [] };
      const { session, cause } = event;
      return {
        state: { name: 'joining', ...waitOf(state) },
        effects: [
          { kind: 'close-session', session, cause },
          // The term is still solo: what the last checkpoint began to hold may go out.
          ...freeUnlessWaiting(state),
          { kind: 'greet' },
        ],
      };
    }
    default:
      return ignoreStale(state, event);
  }
}

function stepEnrolling(
  state: PrimaryState & { name: 'enrolling' },
  event: PrimaryEvent,
): PrimaryStep {
  switch (event.kind) {
    case 'term-won': {
      const { session, epoch: captured } = state;
      if (event.mode !== 'protected' || event.session !== session) return { state, effects: [] };
      return {
        state: {
          ...{ name: 'protected', session, captured, acked: captured },
          ...{ busy: false, due: false, switchover: 'no' },
        },
        effects: [
          { kind: 'release-output', epoch: captured },
          ...endWait(state),
          { kind: 'start-first-interval' },
        ],
      };
    }
    case 'broken':
      return breakSession(state, event, state.waits === true ? 'stop' : 'continue');
    default:
      return ignoreStale(state, event);
  }
}

function stepProtected(
  state: ProtectedState,
  event: PrimaryEvent,
  inFlightMax: number,
  onBackupLost: BackupLossPolicy,
): PrimaryStep {
  switch (event.kind) {
    case 'interval-passed':
      return checkpointIfPossible({ ...state, due: true }, inFlightMax);
    case 'published':
      if (event.session !== state.session) return { state, effects: [] };
      return checkpointIfPossible({ ...state, busy: false }, inFlightMax);
    case 'acked':
      if (event.session !== state.session) return { state, effects: [] };
      if (event.epoch > state.captured) {
        throw new Error(`epoch ${event.epoch} was acknowledged before it was captured`);
      }
      // A backup repeats its newest acknowledgement, so that a lost one costs time only.
      if (event.epoch <= state.acked) return { state, effects: [] };
      return acknowledged(state, event.epoch, inFlightMax);
    case 'switchover':
      if (state.switchover !== 'no') return { state, effects: [] };
      return checkpointIfPossible({ ...state, due: true, switchover: 'one-more' }, inFlightMax);
    case 'broken':
      return breakSession(state, event, onBackupLost);
    default:
      return ignoreStale(state, event);
  }
}

/**
 * Nothing is decided here: a backup that goes on created a term, which supersedes this side; to go
 * on here after all takes a term too, because the backup's answer may be lost or late.
 */
function stepHandingOver(
  state: PrimaryState & { name: 'handing-over' },
  event: PrimaryEvent,
  onBackupLost: BackupLossPolicy,
): PrimaryStep {
  switch (event.kind) {
    case 'acked': {
      const { session, epoch: last } = state;
      if (event.session !== session || event.epoch !== last || state.acked) {
        return { state, effects: [] };
      }
      return {
        state: { ...state, acked: true },
        effects: [
          { kind: 'release-output', epoch: last },
          { kind: 'hand-over', session, epoch: last },
        ],
      };
    }
    case 'handover-failed':
    case 'broken':
      return breakSession(state, event, onBackupLost);
    default:
      return ignoreStale(state, event);
  }
}

function acknowledged(state: ProtectedState, acked: Epoch, inFlightMax: number): PrimaryStep {
  const next = checkpointIfPossible({ ...state, acked }, inFlightMax);
  return { ...next, effects: [{ kind: 'release-output', epoch: acked }, ...next.effects] };
}

function checkpointIfPossible(state: ProtectedState, inFlightMax: number): PrimaryStep {
  const { session, busy, due, switchover } = state;
  const inFlight = state.captured - state.acked;
  const captured = epoch(state.captured + 1);
  if (switchover === 'last') {
    // Nothing else may be under way: the guest stands still until this one is acknowledged.
    if (busy || inFlight > 0) return { state, effects: [] };
    return {
      state: { name: 'handing-over', session, epoch: captured, acked: false },
      effects: [{ kind: 'last-checkpoint', session, epoch: captured }],
    };
  }
  if (!due || busy || inFlight >= inFlightMax) return { state, effects: [] };
  const next = switchover === 'one-more' ? 'last' : 'no';
  return {
    state: { ...state, captured, busy: true, due: false, switchover: next },
    effects: [{ kind: 'start-interval' }, { kind: 'checkpoint', session, epoch: captured }],
  };
}

function breakSession(
  state: PrimaryState & { session: SessionId },
  event: PrimaryEvent & { kind: 'broken' | 'handover-failed' },
  policy: BackupLossPolicy,
): PrimaryStep {
  if (event.session !== state.session) return { state, effects: [] };
  const waits = policy === 'stop';
  const wait: readonly PrimaryEffect[] = waits ? [{ kind: 'wait-for-backup' }] : [];
  return {
    // The backup may take over until a solo term is ours: what is held stays held.
    state: { name: 'claiming', ...waitOf({ waits }) },
    effects: [
      { kind: 'close-session', session: state.session, cause: event.cause },
      ...wait,
      { kind: 'claim-solo', keepsPause: false },
    ],
  };
}

const waitOf = (state: { readonly waits?: boolean }): MayWait =>
  state.waits === true ? { waits: true } : {};

const freeUnlessWaiting = (state: MayWait): readonly PrimaryEffect[] =>
  state.waits === true ? [] : [{ kind: 'free-output' }];

/** The session is closed first: a task that waits for a dead backup must not hold up the rest. */
function finish(state: PrimaryState, outcome: PrimaryOutcome, last?: PrimaryEffect): PrimaryStep {
  const effects: PrimaryEffect[] = [];
  if ('session' in state) {
    effects.push({ kind: 'close-session', session: state.session, cause: outcome.kind });
  }
  if (last !== undefined) effects.push(last);
  effects.push({ kind: 'finish', outcome });
  return { state: { name: 'stopped', outcome }, effects };
}

/** Answers of a session that is over, and timers that were already running, mean nothing now. */
const staleKinds = new Set<PrimaryEvent['kind']>([
  'welcomed',
  'refused',
  'term-won',
  'synchronised',
  'interval-passed',
  'published',
  'acked',
  'broken',
  'switchover',
  'handover-failed',
]);

function ignoreStale(state: PrimaryState, event: PrimaryEvent): PrimaryStep {
  if (staleKinds.has(event.kind)) return { state, effects: [] };
  throw new Error(`primary: event ${event.kind} can't happen in state ${state.name}`);
}
