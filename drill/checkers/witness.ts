import type { Check } from '../check.ts';
import type { ResumedPause } from './sequence-check.ts';

/**
 * Somebody outside of Understudy who uses the guest before the fault and can say afterwards
 * whether it is the same guest. It knows nothing of agents, epochs or NATS.
 */
export interface Witness {
  /** Starts to use the guest. Throws `E_DRILL_STEP` where its service does not answer. */
  begin(): Promise<void>;
  /** Leaves the guest alone from now on, or uses it again. Not all can. */
  rest?(isResting: boolean): void;
  /** Throws `E_DRILL_STEP` if the guest was not as it should be up to now. */
  beforeFault(): Promise<void>;
  /** Number of the last write that was acknowledged so far; null where it does not say. */
  acknowledged(): Promise<number | null>;
  /**
   * Looks at the guest that goes on. `pause` is that of the checkpoint it goes on from; latencies
   * are told apart by `stretches`, if there are any.
   */
  examine(pause: ResumedPause | undefined, stretches?: readonly Stretch[]): Promise<Testimony>;
  /** Stops what it does to the guest. May be called at any time, more than once. */
  end(): Promise<void>;
}

/** A part of a drill; instants on this machine's monotonic clock. */
export interface Stretch {
  /** Stable, for scripts. */
  readonly name: string;
  readonly fromMs: number;
  readonly toMs: number;
}

/** From a request to its answer, as the client saw it. */
export interface Latency {
  readonly stretch: string;
  readonly answers: number;
  readonly p50Ms: number | null;
  readonly p90Ms: number | null;
  readonly p99Ms: number | null;
  readonly maxMs: number | null;
}

export interface Testimony {
  readonly checks: readonly Check[];
  /** The guest went on from the checkpoint: not from its boot, and not standing still. */
  readonly guestContinued: boolean;
  /** Null where the guest has no service that the witness can write to. */
  readonly dataLost: number | null;
  readonly unprotectedWrites: number | null;
  /** Instant of the first answer of the guest's service after the fault; null like the above. */
  readonly servedAtMs: number | null;
  /** Null where the client had no network of its own to watch. */
  readonly client: ClientFindings | null;
}

/** What a client with a network of its own, and a watch on the switch, saw of the whole drill. */
export interface ClientFindings {
  readonly acknowledged: number;
  /** Of two: the one to the store and the download. */
  readonly connectionsBroken: number;
  readonly framesSeen: number;
  readonly framesFromTwoCopies: number;
  /** Longest time without an answer while it asked: of the whole drill, and since the fault. */
  readonly longestGapMs: number | null;
  readonly faultGapMs: number | null;
  /** Of each stretch that the scenario told apart; without any, of the whole drill. */
  readonly latency: readonly Latency[];
  readonly downloadedBytes: number;
  readonly downloadGapMs: number;
}
