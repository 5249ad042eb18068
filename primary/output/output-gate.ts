/**
 * Output commit: a frame that the guest sent leaves the host only when the backup holds a state in
 * which the guest has sent it. Pure: the frames themselves are in `held-output.ts`, which keeps
 * them in the order in which they came; here they are counted.
 *
 * ```
 *             hold                    frame ─► open set ──barrier(e)──► closed set of e
 *  passing ◄────────► holding                                              │
 *     │    release-all   │            acknowledged(≥ e) ◄──────────────────┘ released
 *     └──► dropped ◄─────┘ drop
 * ```
 *
 * Invariants:
 * - A frame is released only if an epoch was acknowledged whose barrier came after the frame, or
 *   the gate passes (nobody else may run the guest).
 * - Frames are released in the order in which they came, each at most once; only `drop` loses one.
 * - After `drop` nothing is released any more.
 *
 * A barrier has a mark: the epoch of a checkpoint, or, where input is logged, a place in that log
 * (`input-log-rule.ts`); what is said here of epochs holds for either.
 *
 * The barrier of epoch e is set while the guest stands still for the checkpoint of e, so every
 * frame that came before it was sent before the checkpoint. A frame may have been sent before the
 * checkpoint and come after the barrier, because it was still in a socket: it counts for the next
 * epoch and is held longer than needed, which is always safe. The other way round is not: no
 * barrier may be set once the guest runs on.
 */
export type GateState =
  | HoldingState
  /** This copy alone may run, or nothing is to be held: output goes out at once. */
  | PassingState
  /** Another copy may run: this one has nothing to say any more. Final. */
  | { readonly name: 'dropped' };

interface PassingState {
  readonly name: 'passing';
  /** As below: a gate that begins to hold in the middle of a session knows its epochs. */
  readonly lastBarrier: number;
}

interface HoldingState {
  readonly name: 'holding';
  /** What an acknowledgement may release, by rising epochs; empty sets are left out. */
  readonly closed: readonly ClosedSet[];
  /** What no barrier closed yet. */
  readonly open: FrameCount;
  /** All of the above. */
  readonly held: FrameCount;
  /** The last barrier's epoch in this session; 0: none yet. */
  readonly lastBarrier: number;
  /** An earlier checkpoint was asked for, and its barrier has not come. */
  readonly asked: boolean;
  /** The guest is being stopped or stands still: QEMU must be able to answer. */
  readonly pausing: boolean;
  readonly reading: boolean;
}

interface FrameCount {
  readonly frames: number;
  /** As counted against the bounds: with what a frame costs beside its bytes. */
  readonly bytes: number;
}

interface ClosedSet extends FrameCount {
  readonly mark: number;
}

export type GateMode =
  /** Output commit. */
  | 'commit'
  /** Output leaves at once, whatever happens then: for measurement only. */
  | 'unsafe';

export interface GateLimits {
  readonly bytesMax: number;
  readonly framesMax: number;
  /** From this share of a bound a checkpoint is asked for, and down to this one reading waits. */
  readonly nearlyFullShare: number;
  readonly resumeShare: number;
  /** Read beyond `bytesMax` while the guest is being stopped. */
  readonly reserveBytes: number;
}

export type GateEvent =
  | { readonly kind: 'frame'; readonly bytes: number }
  /** The guest is about to be stopped, or asked something: QEMU answers only who reads. */
  | { readonly kind: 'pausing' }
  /** The guest runs again. */
  | { readonly kind: 'resumed' }
  /** The guest stands still for the checkpoint of `epoch`. */
  | { readonly kind: 'barrier'; readonly mark: number }
  | { readonly kind: 'acknowledged'; readonly mark: number }
  /** The session ended: its epochs will not be acknowledged, the next one counts from 1. */
  | { readonly kind: 'session-ended' }
  /** The guest is going to be protected. */
  | { readonly kind: 'hold' }
  /** This copy won the term alone. */
  | { readonly kind: 'release-all' }
  /** Another copy won it. */
  | { readonly kind: 'drop' };

export type GateEffect =
  /** What becomes of the frame of this event. */
  | { readonly kind: 'keep-frame' }
  | { readonly kind: 'pass-frame' }
  | { readonly kind: 'discard-frame' }
  /** The oldest `frames` of those held leave, in order. */
  | { readonly kind: 'release'; readonly frames: number }
  | { readonly kind: 'discard-held'; readonly frames: number }
  /** What is held grows: take a checkpoint before its time. */
  | { readonly kind: 'checkpoint-now' }
  | { readonly kind: 'stop-reading' }
  | { readonly kind: 'start-reading' };

export interface GateStep {
  readonly state: GateState;
  readonly effects: readonly GateEffect[];
}

/** Holds from the start, unless the mode is `unsafe`: what may pass is said by `release-all`. */
export function initialGateState(mode: GateMode): GateState {
  return mode === 'unsafe' ? { name: 'passing', lastBarrier: none } : emptyHolding;
}

/** One step. Throws on a barrier or an acknowledgement that can't be. */
export function stepOutputGate(
  state: GateState,
  event: GateEvent,
  mode: GateMode,
  limits: GateLimits,
): GateStep {
  switch (state.name) {
    case 'dropped':
      return { state, effects: event.kind === 'frame' ? [{ kind: 'discard-frame' }] : [] };
    case 'passing':
      return stepPassing(state, event, mode);
    case 'holding':
      return stepHolding(state, event, limits);
  }
}

function stepPassing(state: PassingState, event: GateEvent, mode: GateMode): GateStep {
  const { lastBarrier } = state;
  switch (event.kind) {
    case 'frame':
      return { state, effects: [{ kind: 'pass-frame' }] };
    case 'barrier':
      checkBarrier(lastBarrier, event.mark);
      return { state: { ...state, lastBarrier: event.mark }, effects: [] };
    case 'acknowledged':
      checkAcknowledged(lastBarrier, event.mark);
      return { state, effects: [] };
    case 'session-ended':
      return { state: { ...state, lastBarrier: none }, effects: [] };
    case 'hold':
      return { state: mode === 'unsafe' ? state : { ...emptyHolding, lastBarrier }, effects: [] };
    case 'drop':
      return { state: { name: 'dropped' }, effects: [] };
    default:
      return { state, effects: [] };
  }
}

function stepHolding(state: HoldingState, event: GateEvent, limits: GateLimits): GateStep {
  switch (event.kind) {
    case 'frame': {
      const open = plus(state.open, { frames: 1, bytes: event.bytes });
      const held = plus(state.held, { frames: 1, bytes: event.bytes });
      return settle({ ...state, open, held }, limits, [{ kind: 'keep-frame' }]);
    }
    case 'pausing':
      return settle({ ...state, pausing: true }, limits, []);
    case 'resumed':
      return settle({ ...state, pausing: false }, limits, []);
    case 'barrier':
      return settle(closeOpen(state, event.mark), limits, []);
    case 'acknowledged':
      return acknowledge(state, event.mark, limits);
    case 'session-ended': {
      // Into the open set: the next session's first epoch is of a later state than all of it.
      const open = state.held;
      return settle({ ...state, closed: [], open, lastBarrier: none, asked: false }, limits, []);
    }
    case 'hold':
      return { state, effects: [] };
    case 'release-all': {
      const { lastBarrier } = state;
      return leave(
        state,
        { name: 'passing', lastBarrier },
        { kind: 'release', frames: state.held.frames },
      );
    }
    case 'drop': {
      const { frames } = state.held;
      return leave(state, { name: 'dropped' }, { kind: 'discard-held', frames });
    }
  }
}

function closeOpen(state: HoldingState, mark: number): HoldingState {
  checkBarrier(state.lastBarrier, mark);
  const closed =
    state.open.frames === 0 ? state.closed : [...state.closed, { ...state.open, mark }];
  return { ...state, closed, open: nothing, lastBarrier: mark, asked: false };
}

function acknowledge(state: HoldingState, mark: number, limits: GateLimits): GateStep {
  checkAcknowledged(state.lastBarrier, mark);
  const released = state.closed.filter((set) => set.mark <= mark);
  if (released.length === 0) return { state, effects: [] };
  const sum = released.reduce(plus, nothing);
  const closed = state.closed.slice(released.length);
  const held = { frames: state.held.frames - sum.frames, bytes: state.held.bytes - sum.bytes };
  return settle({ ...state, closed, held }, limits, [{ kind: 'release', frames: sum.frames }]);
}

function checkBarrier(last: number, mark: number): void {
  if (mark > last) return;
  throw new Error(`the barrier of ${mark} came after that of ${last}`);
}

function checkAcknowledged(last: number, mark: number): void {
  if (mark <= last) return;
  throw new Error(`${mark} was acknowledged before its barrier was set`);
}

/**
 * Asks for a checkpoint and turns reading on and off as the bounds want it. While the guest is
 * being stopped reading goes on, up to the reserve: a QEMU that is not read does not stop.
 */
function settle(state: HoldingState, limits: GateLimits, before: readonly GateEffect[]): GateStep {
  const { held, open, pausing } = state;
  const effects = [...before];
  const share = Math.max(held.bytes / limits.bytesMax, held.frames / limits.framesMax);
  // Only what is open can be closed by a checkpoint.
  const asks = !state.asked && !pausing && open.frames > 0 && share >= limits.nearlyFullShare;
  if (asks) effects.push({ kind: 'checkpoint-now' });
  const reading = pausing
    ? held.bytes < limits.bytesMax + limits.reserveBytes
    : share < (state.reading ? 1 : limits.resumeShare);
  if (reading !== state.reading) effects.push({ kind: reading ? 'start-reading' : 'stop-reading' });
  return { state: { ...state, asked: state.asked || asks, reading }, effects };
}

function leave(state: HoldingState, to: GateState, effect: GateEffect): GateStep {
  const effects: GateEffect[] = state.held.frames === 0 ? [] : [effect];
  if (!state.reading) effects.push({ kind: 'start-reading' });
  return { state: to, effects };
}

const none = 0;
const nothing: FrameCount = { frames: 0, bytes: 0 };
const emptyHolding: HoldingState = {
  name: 'holding',
  closed: [],
  open: nothing,
  held: nothing,
  lastBarrier: none,
  asked: false,
  pausing: false,
  reading: true,
};

const plus = (a: FrameCount, b: FrameCount): FrameCount => ({
  frames: a.frames + b.frames,
  bytes: a.bytes + b.bytes,
});
