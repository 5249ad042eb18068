import type { Mode } from '../shared/config/modes.ts';
import type { Check } from './check.ts';
import type { ClientFindings } from './checkers/witness.ts';
import type { FailoverMs, Measurements } from './measure.ts';

/** What a drill found: the JSON object that `understudy drill --json` prints. */
export interface DrillResult {
  readonly scenario: string;
  readonly ok: boolean;
  /** Mode of the engine. */
  readonly mode: Mode;
  /** Draws the instant of the fault; give it to have the same again. */
  readonly seed: number;
  readonly epochMs: number;
  readonly epochs: Measurements['epochs'];
  readonly pauseMs: Measurements['pauseMs'];
  readonly ackLagMs: Measurements['ackLagMs'];
  readonly dirtyPages: Measurements['dirtyPages'];
  readonly wire: Measurements['wire'];
  readonly startUp: Measurements['startUp'];
  readonly sync: Measurements['sync'];
  readonly failoverMs: FailoverMs | null;
  readonly unprotectedMs: Measurements['unprotectedMs'];
  /** The epoch from which the guest was resumed; null if it was not. */
  readonly resumedEpoch: number | null;
  /** The resumed RAM has the digest that the primary recorded for that epoch. */
  readonly ramVerified: boolean;
  readonly guestContinued: boolean;
  /** Null where the guest has no store that a client could write to. */
  readonly dataLost: number | null;
  readonly unprotectedWrites: number | null;
  /** Null where hosts and client had no networks of their own. */
  readonly client: ClientFindings | null;
  readonly checks: readonly Check[];
  readonly error: DrillFailure | null;
  readonly conditions: Conditions;
  /** Where logs and events were kept because something failed; null if nothing was. */
  readonly runFolder: string | null;
  /** Paths of the report's files; null where none was written. */
  readonly report: { readonly json: string; readonly html: string } | null;
}

export interface DrillFailure {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  readonly logs: readonly { readonly log: string; readonly lines: readonly string[] }[];
}

/** What the numbers depend on. */
export interface Conditions {
  readonly startedAt: string;
  readonly processor: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly kernel: string;
  readonly node: string;
  readonly qemu: string;
  readonly natsServer: string;
  readonly accelerator: string;
  readonly tracker: string;
  readonly guestName: string;
  readonly guestMemoryBytes: number;
  readonly guestVcpus: number;
  /** Digest of the lab guest's recipe, or what the guest boots. */
  readonly guestImage: string;
}
