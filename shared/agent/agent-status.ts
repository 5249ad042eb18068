/** What `status` says of one agent, as its socket gives it and `--json` prints it. */
export interface AgentStatus {
  readonly guest: string;
  /** Null before the agent has connected, and for a moment between two roles. */
  readonly role: 'primary' | 'backup' | null;
  readonly pid: number;
  /** Instants are ISO 8601 in UTC. */
  readonly startedAt: string;
  /** What the answer was made at. */
  readonly at: string;
  readonly state: string;
  readonly since: string;
  readonly cause: string;
  /** If this host, or the primary's, died now, the guest would go on by itself. */
  readonly protected: boolean;
  /** Why not, in words; null where protected. */
  readonly notProtected: string | null;
  /** When protection was lost last, and by what; null where it never was. */
  readonly lastLoss: { readonly at: string; readonly cause: string } | null;
  /** When what the guest says may leave; null on a backup, and for a guest without cables. */
  readonly outputRule: OutputRuleName | null;
  /** By an operator: no takeover, no epochs, until `resume`. */
  readonly paused: { readonly since: string } | null;
  /** The guest runs on this host, as far as its agent is concerned. */
  readonly runsHere: boolean;
  /** The highest term, as the arbiter says; null where there is none or it can't be asked. */
  readonly term: TermStatus | null;
  readonly termProblem: string | null;
  /** Newest epochs of the present session; null where there is none. */
  readonly epochs: {
    /** Null on a backup. */
    readonly captured: number | null;
    readonly acknowledged: number | null;
  };
  /** From the newest acknowledged epoch's pause to its acknowledgement. */
  readonly lagMs: number | null;
  /** For how long the oldest epoch has waited that is not acknowledged. */
  readonly unacknowledgedMs: number | null;
  readonly pause: PauseStatus | null;
  /** What the general codec follows from; null on a backup, and where it is fixed. */
  readonly codec: CodecStatus | null;
  readonly peer: PeerStatus | null;
  readonly verification: VerificationStatus | null;
  /** Of the guest, by this process; `planned`: a switchover. */
  readonly takeover: {
    readonly at: string;
    readonly planned: boolean;
    readonly epoch: number;
    readonly totalMs: number;
  } | null;
  readonly lastProblem: ProblemStatus | null;
}

export type OutputRuleName = 'commit' | 'input-log' | 'unsafe';

export interface TermStatus {
  readonly number: number;
  readonly mode: string;
  readonly heldHere: boolean;
  readonly at: string;
  /** A creation that this agent asked for may still take effect. */
  readonly undecided: boolean;
}

/** Type II downtime of the newest epochs. */
export interface PauseStatus {
  readonly medianMs: number;
  readonly maxMs: number;
  readonly epochs: number;
}

/** Of `compress.general: auto`. */
export interface CodecStatus {
  /** `none`, `lz4`, `gzip-1` … */
  readonly name: string;
  /** In words, with the numbers. */
  readonly why: string;
  readonly since: string;
}

export interface PeerStatus {
  readonly alive: boolean;
  /** Null where nothing was heard yet. */
  readonly heardMsAgo: number | null;
  /** What its heartbeats say that it does. */
  readonly activity: string | null;
}

export interface VerificationStatus {
  readonly at: string;
  readonly epoch: number;
  readonly side: 'primary' | 'backup';
  readonly ok: boolean;
}

export interface ProblemStatus {
  readonly at: string;
  readonly code: string;
  readonly message: string;
  readonly hint: string;
}
