import type { Clock } from '../clock.ts';
import type { AgentEvent, EmitEvent, TimedEvent } from './events.ts';

export type OnTimedEvent = (event: TimedEvent) => void;

/**
 * Where an agent's events meet those who want to know. Listeners are called at once and must
 * only note what they are told; one that throws is let go, and the others hear of it.
 */
export class EventHub {
  readonly #clock: Clock;
  readonly #listeners = new Set<OnTimedEvent>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Never throws. Bound to the hub: it can be handed on as it is. */
  readonly emit: EmitEvent = (event: AgentEvent): void => {
    const timed: TimedEvent = { ...event, atMs: this.#clock.nowMs() };
    for (const listener of [...this.#listeners]) {
      try {
        listener(timed);
      } catch (error) {
        this.#listeners.delete(listener);
        this.emit(listenerFailed(error));
      }
    }
  };

  /** Returns how to stop listening. */
  subscribe(listener: OnTimedEvent): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

function listenerFailed(error: unknown): AgentEvent {
  return {
    kind: 'warning',
    code: 'E_OBSERVE_LISTENER',
    message: `a listener for events failed and hears no more: ${error}`,
    hint: 'the agent goes on; report this, with the line, as a fault in Understudy',
  };
}
