import type { TimedEvent } from '../observe/events.ts';
import type { AgentStatus, PauseStatus, ProblemStatus } from './agent-status.ts';

/** Pauses that the median is of. */
const pausesMax = 100;
/** Epochs in flight are few; one that is never acknowledged ends with its session. */
const unacknowledgedMax = 16;

/** States in which the numbers of a session go on. */
const inSession = new Set(['protected', 'protecting', 'enrolling', 'handing-over']);

/** What an agent's events come to: the part of its status that needs nobody to be asked. */
export class EventMemory {
  readonly #clock: { readonly now: () => Date };
  state = 'starting';
  cause = 'the agent was started';
  since: string;
  lastLoss: AgentStatus['lastLoss'] = null;
  verification: AgentStatus['verification'] = null;
  takeover: AgentStatus['takeover'] = null;
  codec: AgentStatus['codec'] = null;
  lastProblem: ProblemStatus | null = null;
  captured: number | null = null;
  acknowledged: number | null = null;
  lagMs: number | null = null;
  #pausesMs: number[] = [];
  /** Instants of the pauses of epochs that nobody has acknowledged, by epoch. */
  readonly #waiting = new Map<number, number>();

  constructor(clock: { readonly now: () => Date }) {
    this.#clock = clock;
    this.since = this.#now();
  }

  /** A role begins, or none is left: what the last one did is over. */
  beginRole(cause: string): void {
    this.#enter('starting', cause);
  }

  note(event: TimedEvent): void {
    switch (event.kind) {
      case 'state': {
        const { from, to, cause } = event;
        if (from === 'protected' || from === 'protecting') {
          this.lastLoss = { at: this.#now(), cause };
        }
        this.#enter(to, cause);
        return;
      }
      case 'epoch':
        this.captured = event.epoch;
        this.#pausesMs = [...this.#pausesMs, event.pauseMs].slice(-pausesMax);
        this.#waiting.set(event.epoch, event.pausedAtMs);
        if (this.#waiting.size > unacknowledgedMax) {
          this.#waiting.delete(this.#waiting.keys().next().value!);
        }
        return;
      case 'ack':
        this.acknowledged = event.epoch;
        this.lagMs = event.lagMs;
        for (const epoch of this.#waiting.keys()) {
          if (epoch <= event.epoch) this.#waiting.delete(epoch);
        }
        return;
      case 'commit':
        this.acknowledged = event.epoch;
        return;
      case 'verify': {
        const { epoch, side, ok } = event;
        this.verification = { at: this.#now(), epoch, side, ok };
        return;
      }
      case 'codec':
        this.codec = { name: event.codec, why: event.why, since: this.#now() };
        return;
      case 'takeover':
        this.takeover = {
          ...{ at: this.#now(), planned: event.planned, epoch: event.epoch },
          totalMs: event.phasesMs.total,
        };
        return;
      case 'warning':
      case 'error': {
        const { code, message, hint } = event;
        this.lastProblem = { at: this.#now(), code, message, hint };
        return;
      }
      default:
    }
  }

  get pause(): PauseStatus | null {
    const sorted = this.#pausesMs.toSorted((a, b) => a - b);
    const middle = sorted[Math.floor(sorted.length / 2)];
    if (middle === undefined) return null;
    return { medianMs: middle, maxMs: sorted.at(-1)!, epochs: sorted.length };
  }

  unacknowledgedMs(nowMs: number): number | null {
    const oldest = Math.min(...this.#waiting.values());
    return Number.isFinite(oldest) ? nowMs - oldest : null;
  }

  #enter(state: string, cause: string): void {
    this.state = state;
    this.cause = cause;
    this.since = this.#now();
    if (inSession.has(state)) return;
    this.captured = null;
    this.acknowledged = null;
    this.lagMs = null;
    this.codec = null;
    this.#pausesMs = [];
    this.#waiting.clear();
  }

  #now(): string {
    return this.#clock.now().toISOString();
  }
}
