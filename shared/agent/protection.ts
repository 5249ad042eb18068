import type { TermRecord } from '../arbiter/term-record.ts';
import type { SessionId } from '../ids.ts';
import type { OutputRuleName, ProblemStatus } from './agent-status.ts';

/** What an agent knows when it is asked whether its guest is protected. */
export interface ProtectionFacts {
  readonly role: 'primary' | 'backup' | null;
  readonly state: string;
  readonly cause: string;
  /** As terms call this host. */
  readonly host: string;
  /** The highest term; null: there is none; undefined: the arbiter can't be asked. */
  readonly latest: TermRecord | null | undefined;
  /** A creation that this agent asked for may still take effect. */
  readonly undecided: boolean;
  /** Heard within the heartbeat limit. */
  readonly peerAlive: boolean;
  /** What the peer's heartbeats say that it does. */
  readonly peerActivity: string | null;
  /** Of a backup: whose epoch it holds whole, and whether it may act by itself. */
  readonly heldSession: SessionId | null;
  readonly takeoverEnabled: boolean;
  readonly outputRule: OutputRuleName | null;
  readonly lastProblem: ProblemStatus | null;
}

/**
 * Why the guest is not protected, in the operator's words; null where it is. In doubt it is not:
 * while a creation of a term is undecided, whatever the acknowledgements say (docs/model).
 */
export function whyNotProtected(facts: ProtectionFacts): string | null {
  const { role, latest, undecided, host } = facts;
  if (role === null) return withProblem('the agent is starting', facts);
  if (undecided) return withProblem('a term was asked for and is not decided yet', facts);
  if (latest?.mode === 'paused') return `paused by an operator since ${latest.at}`;
  if (role === 'backup') return whyBackupDoesNot(facts);
  if (latest != null && latest.holder !== host) {
    return `term ${latest.term} (${latest.mode}) is held by the other host: this copy may not run`;
  }
  return whyPrimaryIsNot(facts);
}

function whyPrimaryIsNot(facts: ProtectionFacts): string | null {
  switch (facts.state) {
    case 'protected':
      if (facts.outputRule === 'unsafe') {
        return 'UNSAFE: output.rule lets answers out before the backup knows; a takeover loses them';
      }
      return facts.peerAlive ? null : 'nothing is heard of the backup';
    case 'claiming':
      return withProblem(
        'this host waits for a term of its own; what the guest says is held meanwhile',
        facts,
      );
    case 'joining':
      return withProblem('no backup has taken part yet', facts);
    case 'synchronising':
      return 'the backup is being brought level';
    case 'enrolling':
      return withProblem('the backup is level, its term is not won yet', facts);
    case 'handing-over':
      return 'the guest is being handed over to the backup, as an operator asked';
    case 'paused':
      return 'paused by an operator';
    default:
      return `the agent is ${facts.state}: ${facts.cause}`;
  }
}

function whyBackupDoesNot(facts: ProtectionFacts): string | null {
  const { state, latest, heldSession, peerAlive, peerActivity } = facts;
  switch (state) {
    case 'protecting':
      if (!facts.takeoverEnabled) return 'takeover.enabled is false: nobody takes over by itself';
      if (latest === undefined) {
        return withProblem("the record of terms can't be asked whether the epoch counts", facts);
      }
      if (latest?.mode !== 'protected' || latest.session !== heldSession) {
        const found =
          latest === null ? 'there is no term' : `term ${latest.term} is ${latest.mode}`;
        return `${found}: the guest goes on without the epoch that is held here`;
      }
      if (!peerAlive) return 'nothing is heard of the primary';
      return peerActivity === 'protecting' ? null : `the primary is ${peerActivity ?? 'silent'}`;
    case 'synchronising':
      return 'this side is being brought level';
    case 'expecting':
      return 'this agent was restarted: it listens for the primary, which has to open a session';
    case 'taking-over':
      return 'the guest is being taken over';
    case 'starting':
    case 'waiting':
      return withProblem(`no primary takes part: ${facts.cause}`, facts);
    default:
      return `the agent is ${state}: ${facts.cause}`;
  }
}

function withProblem(why: string, { lastProblem }: ProtectionFacts): string {
  return lastProblem === null ? why : `${why} (last: ${lastProblem.message})`;
}
