import { setTimeout as sleep } from 'node:timers/promises';
import type { TermClaims } from '../arbiter/term-claims.ts';
import type { TermRecord } from '../arbiter/term-record.ts';
import { bounds } from '../bounds.ts';
import { monotonicClock } from '../clock.ts';
import { isUnderstudyError, UnderstudyError } from '../errors.ts';
import type { SessionId } from '../ids.ts';
import type { TimedEvent } from '../observe/events.ts';
import type { AgentStatus, OutputRuleName, PeerStatus, TermStatus } from './agent-status.ts';
import { answerLine, type ControlCommands } from './control-line.ts';
import { EventMemory } from './event-memory.ts';
import { whyNotProtected } from './protection.ts';

/** What a role gives its agent's console, as long as it lasts. */
export interface RoleDesk {
  readonly role: 'primary' | 'backup';
  readonly claims: TermClaims;
  /** As terms call this host. */
  readonly host: string;
  readonly peer: {
    readonly alive: boolean;
    readonly lastHeardAtMs: number;
    readonly activity: string | null;
  };
  /** Whoever was not heard for so long may be gone, however patient the role is. */
  readonly heartbeatLimitMs: number;
  /** Asked anew for each answer. */
  readonly facts: () => {
    readonly runsHere: boolean;
    /** Of a backup: the session whose epoch it holds whole. */
    readonly heldSession: SessionId | null;
    readonly takeoverEnabled: boolean;
    /** Of a primary whose guest has cables. */
    readonly outputRule?: OutputRuleName | null;
  };
  /** Besides `status`, which every agent answers. */
  readonly commands: ControlCommands;
  /** Hears every event of the agent. */
  readonly note?: (event: TimedEvent) => void;
}

/**
 * What an agent answers its operator, through all of its roles: `status` from its events and from
 * the record of terms, and the commands that its present role has.
 */
export class AgentConsole {
  readonly #guest: string;
  readonly #memory: EventMemory;
  readonly #startedAt = new Date().toISOString();
  #desk: RoleDesk | undefined;

  constructor(guest: string) {
    this.#guest = guest;
    this.#memory = new EventMemory({ now: () => new Date() });
  }

  /** Hears every event of the agent. */
  note(event: TimedEvent): void {
    this.#memory.note(event);
    this.#desk?.note?.(event);
  }

  /** A role answers from now on; returns how it stops doing so. */
  open(desk: RoleDesk): () => void {
    this.#desk = desk;
    this.#memory.beginRole(`the agent begins as ${desk.role}`);
    return () => {
      this.#desk = undefined;
      this.#memory.beginRole(`the agent was ${desk.role} and is changing roles or ending`);
    };
  }

  /** The answer to one line of the control socket. */
  async answer(line: string): Promise<string> {
    const status = () => this.status();
    return await answerLine(line, { status, ...(this.#desk?.commands ?? noRole) });
  }

  async status(): Promise<AgentStatus> {
    const desk = this.#desk;
    const latest = desk === undefined ? undefined : await look(desk.claims);
    const { state, cause, since, lastLoss, lastProblem } = this.#memory;
    const { verification, takeover, codec, captured, acknowledged, lagMs, pause } = this.#memory;
    const facts = desk?.facts() ?? { runsHere: false, heldSession: null, takeoverEnabled: false };
    const peer = desk === undefined ? null : peerStatus(desk);
    const undecided = desk?.claims.undecided ?? false;
    const outputRule = facts.outputRule ?? null;
    const notProtected = whyNotProtected({
      outputRule,
      ...{ role: desk?.role ?? null, state, cause, host: desk?.host ?? '', latest, undecided },
      ...{ peerAlive: peer?.alive ?? false, peerActivity: peer?.activity ?? null },
      ...{ heldSession: facts.heldSession, takeoverEnabled: facts.takeoverEnabled, lastProblem },
    });
    return {
      guest: this.#guest,
      role: desk?.role ?? null,
      ...{ pid: process.pid, startedAt: this.#startedAt, at: new Date().toISOString() },
      ...{ state, since, cause },
      protected: notProtected === null,
      ...{ notProtected, lastLoss },
      outputRule,
      paused: latest?.mode === 'paused' ? { since: latest.at } : null,
      runsHere: facts.runsHere,
      term: latest == null || desk === undefined ? null : termStatus(latest, desk, undecided),
      termProblem:
        desk !== undefined && latest === undefined ? "the record of terms can't be asked" : null,
      epochs: { captured, acknowledged },
      lagMs,
      unacknowledgedMs: this.#memory.unacknowledgedMs(monotonicClock.nowMs()),
      ...{ pause, codec, peer, verification, takeover, lastProblem },
    };
  }
}

/** Undefined where the arbiter does not answer in time. */
async function look(claims: TermClaims): Promise<TermRecord | null | undefined> {
  const late = sleep(bounds.recordLookMs, undefined, { ref: false });
  const latest = claims.peek().catch((error: unknown) => {
    if (!isUnderstudyError(error)) throw error;
    return undefined;
  });
  return await Promise.race([latest, late]);
}

function peerStatus({ peer, heartbeatLimitMs }: RoleDesk): PeerStatus {
  const { lastHeardAtMs, activity } = peer;
  const heardMsAgo = lastHeardAtMs === 0 ? null : monotonicClock.nowMs() - lastHeardAtMs;
  const alive = peer.alive && heardMsAgo !== null && heardMsAgo <= heartbeatLimitMs;
  return { alive, heardMsAgo, activity };
}

function termStatus(latest: TermRecord, { host }: RoleDesk, undecided: boolean): TermStatus {
  const { term: number, mode, holder, at } = latest;
  return { number, mode, heldHere: holder === host, at, undecided };
}

const refuse = async (): Promise<never> => {
  throw new UnderstudyError('E_AGENT_STARTING', 'the agent has no role at this moment', {
    hint: 'It starts, ends or changes roles: `understudy status` says more. Then ask again.',
  });
};
/** What every role has, so that it is not taken for unknown while there is none. */
const noRole: ControlCommands = {
  ...{ pause: refuse, resume: refuse, 'go-on': refuse, switchover: refuse, verify: refuse },
};
