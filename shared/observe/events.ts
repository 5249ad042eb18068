import type { Epoch, SessionId, Term } from '../ids.ts';
import type { Span } from './spans.ts';

/**
 * What happens in an agent, typed. Code emits events; logs, progress lines, the events file and
 * the drill's report subscribe. Times are milliseconds of the monotonic clock (`atMs`) or
 * durations (`…Ms`).
 */
export type AgentEvent =
  /** A role changed its state: once per transition, with its cause. */
  | { kind: 'state'; role: 'primary' | 'backup'; from: string; to: string; cause: string }
  | {
      kind: 'guest';
      /** `stopped` and `resumed`: by QEMU or an operator, not by a checkpoint. */
      change: 'started' | 'adopted' | 'reset' | 'shutdown' | 'gone' | 'stopped' | 'resumed';
      pid: number;
    }
  /** This side created a term: `solo`, `protected` by its backup, `paused` by an operator. */
  | { kind: 'term'; term: Term; mode: 'solo' | 'protected' | 'paused' }
  | { kind: 'tracker'; tracker: string; why: string }
  /** With `compress.general: auto`: the general codec from now on. */
  | { kind: 'codec'; codec: string; why: string }
  | { kind: 'standby'; pid: number; readyMs: number }
  | {
      kind: 'sync';
      phase: 'started' | 'done';
      session: SessionId;
      /** How it was found out what differs; `handover`: both sides knew that they held the same. */
      by: 'digests' | 'handover';
      pages: number;
      bytes: number;
      syncMs: number;
    }
  /** The guest is protected again: so long nobody could have taken it over. */
  | { kind: 'reprotected'; unprotectedMs: number }
  /** A replicated disk is brought level. */
  | {
      kind: 'disk-sync';
      phase: 'started' | 'progress' | 'done';
      disk: number;
      sizeBytes: number;
      /** Compared, or known to be level without that. */
      comparedBytes: number;
      /** Of this host's image: less than its size where both sides know what they changed. */
      readBytes: number;
      sentBytes: number;
      syncMs: number;
    }
  | ({ kind: 'epoch' } & EpochCaptured)
  | { kind: 'ack'; epoch: Epoch; lagMs: number }
  | {
      kind: 'commit';
      epoch: Epoch;
      session: SessionId;
      pages: number;
      bytes: number;
      applyMs: number;
      ramDigest: string;
    }
  | {
      kind: 'verify';
      epoch: Epoch;
      side: 'primary' | 'backup';
      pages: number;
      verifyMs: number;
      ok: boolean;
      firstDifferingPage: number | null;
    }
  /** Where time went since the spans before, up to this epoch's COMMIT. */
  | { kind: 'spans'; epoch: Epoch; spans: readonly Span[] }
  /** A replicated disk was compared with the backup's, and what differed was sent again. */
  | {
      kind: 'disk-verify';
      disk: number;
      pages: number;
      verifyMs: number;
      differingPages: number;
      firstDifferingPage: number | null;
    }
  | ({ kind: 'takeover' } & TakeoverDone)
  /** Logged input was told again to the guest that was resumed. */
  | { kind: 'replay'; frames: number; replayed: number; replayMs: number }
  | { kind: 'warning'; code: string; message: string; hint: string }
  | { kind: 'error'; code: string; message: string; hint: string };

/** One checkpoint as the primary saw it. */
export interface EpochCaptured {
  epoch: Epoch;
  /** Instant at which the guest was asked to stop: output after it is not in this epoch. */
  pausedAtMs: number;
  /** Type II downtime and its phases. */
  pauseMs: number;
  phasesMs: { stop: number; scan: number; copy: number; device: number; resume: number };
  /** Distinct pages that the tracker reported. */
  dirtyPages: number;
  /** Rounds of capture while the guest ran, the pages copied in them, and those in the pause. */
  liveRounds: number;
  livePages: number;
  pausedPages: number;
  /** Pages with at least one changed block. */
  changedPages: number;
  changedBlocks: number;
  sharedBlocks: number;
  encodeMs: number;
  /** Bytes of all frames of this epoch, headers included. */
  wireBytes: number;
  /** What page granularity would have sent: dirty pages times 4096. */
  pageBytes: number;
  /** Root digest of the whole RAM at this checkpoint, 16 hex digits. */
  ramDigest: string;
}

/** One takeover as the backup saw it. Type I downtime is `totalMs` plus detection's share. */
export interface TakeoverDone {
  epoch: Epoch;
  session: SessionId;
  term: Term;
  /** A switchover: the primary had paused the guest and asked for it. */
  planned: boolean;
  /** Root digest that the primary gave for this epoch, 16 hex digits. */
  ramDigestExpected: string;
  /** Root digest of the whole RAM file just before the guest ran on; null if not computed. */
  ramDigestFound: string | null;
  /** Last sign of life from the primary, on this machine's monotonic clock. */
  lastHeardAtMs: number;
  phasesMs: {
    detect: number;
    decide: number;
    load: number;
    verify: number;
    resume: number;
    total: number;
  };
  pid: number;
}

/** An event with its instant, as it is written to the events file, one JSON object a line. */
export type TimedEvent = AgentEvent & { atMs: number };

/** Where code sends its events. Never throws. */
export type EmitEvent = (event: AgentEvent) => void;
