import { type Epoch, epoch, type SessionId } from '../shared/ids.ts';
import { endWait, goOn, pause, resume } from './operator-steps.ts';

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
export type PrimaryState =
  /** A term of our own is not won yet: output is held, unless the last one was solo. */
  | ({ readonly name: 'claiming'; readonly pauses?: true } & MayWait)
  /** By an operator's wish, and by the record: unprotected, and no backup is sought. */
  | { readonly name: 'paused' }
  /** The guest runs unprotected in a solo term; a backup is looked for. */
  | ({ readonly name: 'joining' } & MayWait)
  /** A backup has agreed to a session and is being brought level. */
  | ({ readonly name: 'synchronising'; readonly session: SessionId } & MayWait)
  /** The backup is level; the protected term is not won yet. */
  | ({ readonly name: 'enrolling'; readonly session: SessionId; readonly epoch: Epoch } & MayWait)
  | ProtectedState
  /** The guest is no longer ours to protect; the last messages are on their way. */
  | { readonly name: 'stopped'; readonly outcome: PrimaryOutcome };

/**
 * With the policy `stop` a guest whose backup was lost stands still, and what it said stays held,
 * until it is protected again or the operator lets it go on.
 */
interface MayWait {
  readonly waits?: true;
}

/** What becomes of a protected guest whose backup is lost: `output.onBackupLost`. */
export type BackupLossPolicy = 'continue' | 'stop';

interface ProtectedState {
  readonly name: 'protected';
  readonly session: SessionId;
  readonly captured: Epoch;
  readonly acked: Epoch;
  /** A checkpoint is being taken or published. */
  readonly busy: boolean;
  /** The interval has passed, but a checkpoint is not possible yet. */
  readonly due: boolean;
}

export type PrimaryOutcome =
  /** The operator asked the agent to end; the guest goes on, unprotected. */
  | { readonly kind: 'released' }
  /** The guest ended by itself or by its operator; there is nothing to take over. */
  | { readonly kind: 'guest-ended'; readonly reason: string }
  /** QEMU died: the backup is left to take over. */
  | { readonly kind: 'guest-lost'; readonly reason: string }
  /** Another copy of the guest has the right to run: ours was stopped. */
  | { readonly kind: 'superseded'; readonly by: string }
  /** The backup refuses for a reason that retrying can't mend. */
  | {
      readonly kind: 'refused';
      readonly code: string;
      readonly message: string;
      readonly hint: string;
    };

export type PrimaryEvent =
  | { readonly kind: 'start' }
  | { readonly kind: 'welcomed'; readonly session: SessionId }
  | {
      readonly kind: 'refused';
      readonly code: string;
      readonly message: string;
      readonly hint: string;
    }
  | { readonly kind: 'superseded'; readonly by: string }
  /** Our claim created the highest term. */
  | { readonly kind: 'term-won'; readonly mode: 'solo' | 'paused' }
  | { readonly kind: 'term-won'; readonly mode: 'protected'; readonly session: SessionId }
  | { readonly kind: 'synchronised'; readonly session: SessionId; readonly epoch: Epoch }
  | { readonly kind: 'interval-passed' }
  | { readonly kind: 'published'; readonly session: SessionId; readonly epoch: Epoch }
  | { readonly kind: 'acked'; readonly session: SessionId; readonly epoch: Epoch }
  /** The session can't go on: stream broken, epoch refused, backup silent, digests differ. */
  | { readonly kind: 'broken'; readonly session: SessionId; readonly cause: string }
  | { readonly kind: 'guest-ended'; readonly reason: string }
  | { readonly kind: 'guest-lost'; readonly reason: string }
  /** An operator's wishes: see `operator-steps.ts`. */
  | { readonly kind: 'go-on' | 'pause' | 'resume' }
  | { readonly kind: 'stop' };

export type PrimaryEffect =
  /** Try to create the next term; claims are settled one after the other. */
  | { readonly kind: 'claim-solo'; readonly keepsPause: boolean }
  | { readonly kind: 'claim-paused' }
  | { readonly kind: 'claim-protected'; readonly session: SessionId; readonly epoch: Epoch }
  | { readonly kind: 'release-output'; readonly epoch: Epoch }
  /** Everything held goes out, and what comes goes out at once. */
  | { readonly kind: 'free-output' }
  /** Nothing goes out any more, what was held is forgotten. */
  | { readonly kind: 'drop-output' }
  /** Say HELLO, and again, until an answer comes. */
  | { readonly kind: 'greet' }
  | { readonly kind: 'synchronise'; readonly session: SessionId }
  | { readonly kind: 'start-interval' }
  | { readonly kind: 'checkpoint'; readonly session: SessionId; readonly epoch: Epoch }
  | { readonly kind: 'close-session'; readonly session: SessionId; readonly cause: string }
  /** Tell the backup that the silence to come is no death. */
  | { readonly kind: 'stand-down'; readonly reason: string }
  /** The guest stands still until `end-wait`. */
  | { readonly kind: 'wait-for-backup' }
  | { readonly kind: 'end-wait' }
  /** Stop our copy at once. */
  | { readonly kind: 'stop-guest' }
  | { readonly kind: 'finish'; readonly outcome: PrimaryOutcome };

export interface PrimaryStep {
  readonly state: PrimaryState;
  readonly effects: readonly PrimaryEffect[];
}

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
        { kind: 'superseded', by: event.by },
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
        state: { name: 'protected', session, captured, acked: captured, busy: false, due: false },
        effects: [
          { kind: 'release-output', epoch: captured },
          ...endWait(state),
          { kind: 'start-interval' },
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
  epochsInFlightMax: number,
  onBackupLost: BackupLossPolicy,
): PrimaryStep {
  switch (event.kind) {
    case 'interval-passed':
      return checkpointIfPossible({ ...state, due: true }, epochsInFlightMax);
    case 'published':
      if (event.session !== state.session) return { state, effects: [] };
      return checkpointIfPossible({ ...state, busy: false }, epochsInFlightMax);
    case 'acked':
      if (event.session !== state.session) return { state, effects: [] };
      if (event.epoch > state.captured) {
        throw new Error(`epoch ${event.epoch} was acknowledged before it was captured`);
      }
      // A backup repeats its newest acknowledgement, so that a lost one costs time only.
      if (event.epoch <= state.acked) return { state, effects: [] };
      return acknowledged(state, event.epoch, epochsInFlightMax);
    case 'broken':
      return breakSession(state, event, onBackupLost);
    default:
      return ignoreStale(state, event);
  }
}

function acknowledged(
  state: ProtectedState,
  number: Epoch,
  epochsInFlightMax: number,
): PrimaryStep {
  const acked = number;
  const next = checkpointIfPossible({ ...state, acked }, epochsInFlightMax);
  return { ...next, effects: [{ kind: 'release-output', epoch: acked }, ...next.effects] };
}

function checkpointIfPossible(state: ProtectedState, epochsInFlightMax: number): PrimaryStep {
  const possible = state.due && !state.busy && state.captured - state.acked < epochsInFlightMax;
  if (!possible) return { state, effects: [] };
  const captured = epoch(state.captured + 1);
  return {
    state: { ...state, captured, busy: true, due: false },
    effects: [
      { kind: 'start-interval' },
      { kind: 'checkpoint', session: state.session, epoch: captured },
    ],
  };
}

function breakSession(
  state: PrimaryState & { session: SessionId },
  event: PrimaryEvent & { kind: 'broken' },
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
  // An agent that was asked to end leaves its guest running; one that was passed by does not.
  if ('waits' in state && outcome.kind === 'released') effects.push({ kind: 'end-wait' });
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
]);

function ignoreStale(state: PrimaryState, event: PrimaryEvent): PrimaryStep {
  if (staleKinds.has(event.kind)) return { state, effects: [] };
  throw new Error(`primary: event ${event.kind} can't happen in state ${state.name}`);
}
