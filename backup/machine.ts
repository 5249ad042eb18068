import { bounds } from '../shared/bounds.ts';
import type { Epoch, SessionId } from '../shared/ids.ts';

/**
 * The backup's protocol as a pure state machine: no I/O, no clock, no timer.
 *
 * Invariant: a takeover starts only from a whole epoch, and only while the session's primary
 * neither stood down nor is known to run, or where the record says that it was won already; from
 * `taking-over` on no frame is applied and nothing is acknowledged.
 */
export type BackupState =
  /** No primary that counts: none came yet, or the last one stood down. */
  | { readonly name: 'waiting'; readonly over?: OverSession }
  /**
   * An earlier process held the epoch that the record's protected term is about, and it is here: a
   * primary is listened for, and taken over if none is heard.
   */
  | { readonly name: 'expecting'; readonly session: SessionId }
  /** A session is being brought level. `whole`: an older epoch could still be resumed. */
  | {
      readonly name: 'synchronising';
      readonly peer: Peer;
      readonly whole: boolean;
      readonly over?: OverSession;
    }
  | {
      readonly name: 'protecting';
      readonly peer: Peer;
      readonly epoch: Epoch;
      readonly over?: OverSession;
    }
  /**
   * Output commit's turning point: nothing is acknowledged any more. `planned`: the primary paused
   * the guest and asked for it; the standby is loaded before the claim, so that a failure to load
   * costs a moment and not the guest.
   */
  | {
      readonly name: 'taking-over';
      /** Of the epoch that is to be resumed. */
      readonly session: SessionId;
      readonly stopAsked: boolean;
      readonly planned: boolean;
      /** Attempts to resume the guest that failed: the term is ours, nobody else may. */
      readonly failures: number;
    }
  | { readonly name: 'stopped'; readonly outcome: BackupOutcome };

/**
 * A session that this side has given up while its primary may go on with it: asked for a new one
 * once, the primary may not have heard it, so it is asked again and again until it says HELLO.
 */
export interface OverSession {
  readonly session: SessionId;
  readonly cause: string;
}

export interface Peer {
  /** Drawn by a primary agent when its process starts. */
  readonly agent: string;
  /** Names the run of the guest: the same after a restart of its agent. */
  readonly instance: string;
  readonly session: SessionId;
}

export type BackupOutcome =
  /** The operator asked the agent to end. */
  | { readonly kind: 'released' }
  /** The guest runs here: this side is the primary from now on. */
  | { readonly kind: 'took-over' }
  /** The takeover could not be completed: nothing runs. */
  | { readonly kind: 'takeover-failed'; readonly code: string };

export type BackupEvent =
  | HelloEvent
  /** An earlier process held this session's epoch, which the record's highest term is about. */
  | { readonly kind: 'epoch-found'; readonly session: SessionId }
  /** An earlier process won the term of a takeover, and nobody has let the guest run since. */
  | { readonly kind: 'term-held'; readonly session: SessionId }
  | { readonly kind: 'committed'; readonly session: SessionId; readonly epoch: Epoch }
  /** An epoch can't be applied; the primary must open another session. */
  | { readonly kind: 'epoch-failed'; readonly session: SessionId; readonly cause: string }
  /** A session in synchronisation gave up its older epoch to make room. */
  | { readonly kind: 'older-epoch-given-up'; readonly session: SessionId }
  | { readonly kind: 'stood-down'; readonly agent: string; readonly reason: string }
  | { readonly kind: 'peer-silent' }
  /** The primary paused the guest at this epoch and wants it to go on here. */
  | { readonly kind: 'hand-over'; readonly session: SessionId; readonly epoch: Epoch }
  /** The standby holds the handed-over epoch, and can be resumed at once. */
  | { readonly kind: 'prepared' }
  | { readonly kind: 'prepare-failed'; readonly code: string }
  | { readonly kind: 'claim-won' }
  | { readonly kind: 'claim-lost'; readonly holder: string }
  | { readonly kind: 'resumed'; readonly epoch: Epoch }
  | { readonly kind: 'takeover-failed'; readonly code: string }
  | { readonly kind: 'stop' };

/** A primary asks for a session. */
interface HelloEvent {
  readonly kind: 'hello';
  readonly peer: Peer;
  /** The present session's primary was heard within the heartbeat limit. */
  readonly peerAlive: boolean;
  /** The store holds a whole epoch of this very run of the guest. */
  readonly whole: boolean;
}

export type BackupEffect =
  | { readonly kind: 'welcome'; readonly peer: Peer }
  /** Whoever is the primary: its silence counts from now on. */
  | { readonly kind: 'expect-primary' }
  | { readonly kind: 'refuse'; readonly peer: Peer; readonly reason: RefusalReason }
  | { readonly kind: 'acknowledge'; readonly session: SessionId; readonly epoch: Epoch }
  | { readonly kind: 'ask-new-session'; readonly session: SessionId; readonly cause: string }
  /** Ask the arbiter for the right to run. Receiving has stopped. */
  | { readonly kind: 'claim' }
  | { readonly kind: 'resume-guest' }
  /** Load the standby, before it is known whether it may run. Receiving stops. */
  | { readonly kind: 'prepare-guest' }
  /** The copy that was loaded will not run: the store and a fresh standby are made ready again. */
  | { readonly kind: 'discard-prepared' }
  | { readonly kind: 'refuse-handover'; readonly session: SessionId; readonly cause: string }
  | { readonly kind: 'finish'; readonly outcome: BackupOutcome };

export type RefusalReason = 'other-primary-alive' | 'taking-over';

export interface BackupStep {
  readonly state: BackupState;
  readonly effects: readonly BackupEffect[];
}

export const initialBackupState: BackupState = { name: 'waiting' };

export interface BackupPolicy {
  /** False: the operator takes over by hand. */
  readonly takeoverEnabled: boolean;
}

/** One step. Events of a session that is over are ignored. */
export function stepBackup(
  state: BackupState,
  event: BackupEvent,
  policy: BackupPolicy,
): BackupStep {
  if (state.name === 'stopped') return { state, effects: [] };
  if (event.kind === 'stop' && state.name !== 'taking-over') return leave(state);
  switch (state.name) {
    case 'waiting':
      return stepWaiting(state, event);
    case 'expecting':
      return stepExpecting(state, event, policy);
    case 'synchronising':
      return stepSynchronising(state, event, policy);
    case 'protecting':
      return stepProtecting(state, event, policy);
    case 'taking-over':
      return stepTakingOver(state, event);
  }
}

function stepWaiting(state: BackupState & { name: 'waiting' }, event: BackupEvent): BackupStep {
  switch (event.kind) {
    case 'hello':
      if (event.peer.session === state.over?.session) return { state, effects: [] };
      return welcome(event, state.over);
    case 'hand-over':
      return refuseHandover(state, event, 'it is not protecting');
    case 'term-held':
      return takeOver(event.session, { kind: 'resume-guest' });
    case 'epoch-found':
      return {
        state: { name: 'expecting', session: event.session },
        effects: [{ kind: 'expect-primary' }],
      };
    default:
      return { state, effects: [] };
  }
}

function stepExpecting(
  state: BackupState & { name: 'expecting' },
  event: BackupEvent,
  policy: BackupPolicy,
): BackupStep {
  switch (event.kind) {
    case 'hello':
      return welcome(event, undefined);
    case 'hand-over':
      return refuseHandover(state, event, 'it was restarted');
    case 'stood-down':
      return { state: { name: 'waiting' }, effects: [] };
    case 'peer-silent':
      return policy.takeoverEnabled
        ? takeOver(state.session, { kind: 'claim' })
        : { state, effects: [] };
    default:
      return { state, effects: [] };
  }
}

function stepSynchronising(
  state: BackupState & { name: 'synchronising' },
  event: BackupEvent,
  policy: BackupPolicy,
): BackupStep {
  switch (event.kind) {
    case 'hello':
      return welcomeOrRefuse(state, event);
    case 'older-epoch-given-up':
      return { state: { ...state, whole: false }, effects: [] };
    case 'committed':
      return committed(state, event);
    case 'epoch-failed':
      return failed(state, event);
    case 'stood-down':
      return stoodDown(state, event);
    case 'hand-over':
      return refuseHandover(state, event, 'it is not level yet');
    case 'peer-silent':
      // What is half here is no guest: wait for the primary to come back.
      return state.whole && policy.takeoverEnabled
        ? takeOver(state.peer.session, { kind: 'claim' })
        : giveUp(state.peer, 'the primary was silent');
    default:
      return { state, effects: [] };
  }
}

function stepProtecting(
  state: BackupState & { name: 'protecting' },
  event: BackupEvent,
  policy: BackupPolicy,
): BackupStep {
  switch (event.kind) {
    case 'hello':
      return welcomeOrRefuse(state, event);
    case 'committed':
      return committed(state, event);
    case 'epoch-failed':
      return failed(state, event);
    case 'stood-down':
      return stoodDown(state, event);
    case 'peer-silent':
      return policy.takeoverEnabled
        ? takeOver(state.peer.session, { kind: 'claim' })
        : { state, effects: [] };
    case 'hand-over': {
      const { peer, epoch } = state;
      if (event.session !== peer.session || event.epoch !== epoch) {
        return refuseHandover(state, event, `it holds epoch ${epoch} of session ${peer.session}`);
      }
      const { state: next, effects } = takeOver(peer.session, { kind: 'prepare-guest' });
      return { state: { ...next, planned: true }, effects };
    }
    default:
      return { state, effects: [] };
  }
}

function stepTakingOver(state: TakingOver, event: BackupEvent): BackupStep {
  switch (event.kind) {
    case 'claim-won':
      return { state, effects: [{ kind: 'resume-guest' }] };
    case 'prepared':
      return { state, effects: [{ kind: 'claim' }] };
    case 'prepare-failed':
      return undoTakeover(state, event.code);
    case 'claim-lost':
      return undoTakeover(state, 'its epoch is old: another term was created');
    case 'stop':
      // Ending now would leave the guest running nowhere.
      return { state: { ...state, stopAsked: true }, effects: [] };
    case 'resumed':
      return finish({ kind: state.stopAsked ? 'released' : 'took-over' });
    case 'takeover-failed': {
      const failures = state.failures + 1;
      if (failures === bounds.takeoverAttemptsMax || finalCodes.has(event.code)) {
        return finish({ kind: 'takeover-failed', code: event.code });
      }
      return {
        state: { ...state, failures },
        effects: [{ kind: 'discard-prepared' }, { kind: 'resume-guest' }],
      };
    }
    case 'hello':
      return refuse(state, event.peer, 'taking-over');
    default:
      return { state, effects: [] };
  }
}

/** There is nothing here that another standby could resume. */
const finalCodes = new Set(['E_TAKEOVER_DIGEST', 'E_REPLICA_EMPTY', 'E_REPLICA_CORRUPT']);

/** The guest does not go on here: the primary's next session brings this side level. */
function undoTakeover(state: TakingOver, cause: string): BackupStep {
  const undone: BackupEffect[] = state.planned
    ? [{ kind: 'discard-prepared' }, { kind: 'refuse-handover', session: state.session, cause }]
    : [];
  const next = state.stopAsked ? finish({ kind: 'released' }) : giveUp(state, cause);
  return { ...next, effects: [...undone, ...next.effects] };
}

function refuseHandover(
  state: BackupState,
  { session }: BackupEvent & { kind: 'hand-over' },
  cause: string,
): BackupStep {
  return { state, effects: [{ kind: 'refuse-handover', session, cause }] };
}

/** Another run of the guest is no successor while the present one lives: two would run. */
function welcomeOrRefuse(
  state: BackupState & { name: 'synchronising' | 'protecting' },
  event: HelloEvent,
): BackupStep {
  const { session } = state.peer;
  // The same HELLO twice: the session that it asked for is open.
  if (event.peer.session === session) return { state, effects: [] };
  const other = event.peer.instance !== state.peer.instance;
  if (other && event.peerAlive) return refuse(state, event.peer, 'other-primary-alive');
  // A HELLO that came late may be for a session that its primary has left for the present one.
  return welcome(event, { session, cause: 'a HELLO for another session came' });
}

function welcome({ peer, whole }: HelloEvent, over: OverSession | undefined): BackupStep {
  return {
    state: { name: 'synchronising', peer, whole, ...(over === undefined ? {} : { over }) },
    effects: [{ kind: 'welcome', peer }],
  };
}

function refuse(state: BackupState, peer: Peer, reason: RefusalReason): BackupStep {
  return { state, effects: [{ kind: 'refuse', peer, reason }] };
}

function committed(
  state: BackupState & { peer: Peer },
  event: BackupEvent & { kind: 'committed' },
): BackupStep {
  if (event.session !== state.peer.session) return { state, effects: [] };
  return {
    state: { name: 'protecting', peer: state.peer, epoch: event.epoch },
    effects: [{ kind: 'acknowledge', session: event.session, epoch: event.epoch }],
  };
}

function failed(
  state: BackupState & { name: 'synchronising' | 'protecting' },
  event: BackupEvent & { kind: 'epoch-failed' },
): BackupStep {
  if (event.session !== state.peer.session) return { state, effects: [] };
  const { session, cause } = event;
  return {
    state: { ...state, over: { session, cause } },
    effects: [{ kind: 'ask-new-session', session, cause }],
  };
}

/** The primary may be alive and know nothing of it: it must not go on with a session of its own. */
function giveUp({ session }: { session: SessionId }, cause: string): BackupStep {
  return {
    state: { name: 'waiting', over: { session, cause } },
    effects: [{ kind: 'ask-new-session', session, cause }],
  };
}

function stoodDown(
  state: BackupState & { peer: Peer },
  event: BackupEvent & { kind: 'stood-down' },
): BackupStep {
  if (event.agent !== state.peer.agent) return { state, effects: [] };
  return { state: { name: 'waiting' }, effects: [] };
}

function takeOver(session: SessionId, first: BackupEffect) {
  const state: TakingOver = {
    ...{ name: 'taking-over', session, stopAsked: false, planned: false, failures: 0 },
  };
  return { state, effects: [first] } satisfies BackupStep;
}

type TakingOver = BackupState & { readonly name: 'taking-over' };

/** The primary is told: it need not wait for the silence before it runs the guest alone. */
function leave(state: BackupState): BackupStep {
  const step = finish({ kind: 'released' });
  if (!('peer' in state)) return step;
  const { session } = state.peer;
  const last: BackupEffect = {
    ...{ kind: 'ask-new-session', session, cause: 'the backup agent was stopped' },
  };
  return { ...step, effects: [last, ...step.effects] };
}

function finish(outcome: BackupOutcome): BackupStep {
  return { state: { name: 'stopped', outcome }, effects: [{ kind: 'finish', outcome }] };
}
