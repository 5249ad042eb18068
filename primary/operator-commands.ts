import type { ControlCommands } from '../shared/agent/control-line.ts';
import { UnderstudyError } from '../shared/errors.ts';
import type { AgentEvent } from '../shared/observe/events.ts';
import { AskedVerification } from './asked-verification.ts';
import type { PrimaryState } from './machine.ts';
import type { ReplicaVerdict } from './session/replica-check.ts';

type StateName = PrimaryState['name'];

/** What of an agent its operator's commands need. */
export interface Operated {
  readonly stateName: StateName;
  wish(event: 'pause' | 'resume' | 'go-on'): void;
  /** Throws `E_SWITCHOVER_REFUSED`, `E_SWITCHOVER_ROLLED_BACK`. */
  switchOver(): Promise<void>;
  /** Throws `E_VERIFY_UNPROTECTED`. */
  verify(): Promise<ReplicaVerdict>;
}

interface Operation {
  /** False where it was so already. */
  readonly changed: boolean;
}

/**
 * The commands that a primary has for its operator, one at a time: each waits until no term is
 * being claimed, then for what it asked for. A switchover does not wait for protection: it is
 * refused. A command is a name here, in `backup/start.ts`, `agent-console.ts` and `cli/commands.ts`.
 */
export class OperatorCommands {
  readonly #agent: Operated;
  readonly #waiting = new Set<() => void>();
  readonly #verification: AskedVerification;
  #last: Promise<unknown> = Promise.resolve();

  constructor(agent: Operated) {
    this.#agent = agent;
    this.#verification = new AskedVerification(() => agent.verify());
  }

  readonly table: ControlCommands = {
    pause: () => this.#inTurn(() => this.#pause()),
    resume: () => this.#inTurn(() => this.#resume()),
    'go-on': () => this.#inTurn(() => this.#goOn()),
    switchover: () => this.#inTurn(() => this.#switchOver()),
    verify: () => this.#verification.look(),
  };

  /** Hears every event of the agent. */
  note(event: AgentEvent): void {
    if (event.kind !== 'state') return;
    for (const look of [...this.#waiting]) look();
  }

  async #pause(): Promise<Operation> {
    return { changed: await this.#reach('pause', (name) => name === 'paused') };
  }

  async #resume(): Promise<Operation> {
    return { changed: await this.#reach('resume', (name) => name !== 'paused') };
  }

  async #goOn(): Promise<Operation> {
    this.#agent.wish('go-on');
    return { changed: true };
  }

  async #switchOver(): Promise<Operation> {
    if (this.#agent.stateName === 'stopped') throw ended();
    await this.#agent.switchOver();
    return { changed: true };
  }

  /** False where it was so already. A wish that met another change is made again. */
  async #reach(wish: 'pause' | 'resume', isReached: (name: StateName) => boolean) {
    for (let isWished = false; ; isWished = true) {
      let name = this.#agent.stateName;
      for (; isBetween(name); name = this.#agent.stateName) await this.#change();
      if (name === 'stopped') throw ended();
      if (isReached(name)) return isWished;
      this.#agent.wish(wish);
      await this.#change();
    }
  }

  /** Waits until the agent's state has changed. */
  async #change(): Promise<void> {
    await new Promise<void>((resolve) => {
      const look = () => {
        this.#waiting.delete(look);
        resolve();
      };
      this.#waiting.add(look);
    });
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return await done;
  }
}

/** A term decides what comes next. */
const isBetween = (name: StateName): boolean => name === 'claiming' || name === 'handing-over';

function ended(): UnderstudyError {
  return new UnderstudyError('E_NOT_PRIMARY', 'the guest is not run by this agent any more', {
    hint: 'See `understudy status` on both hosts: the other one may run it, or it has ended.',
  });
}
