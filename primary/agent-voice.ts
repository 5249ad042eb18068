import { isUnderstudyError } from '../shared/errors.ts';
import { activityOf, causeOf } from './cause.ts';
import type { PrimaryEvent, PrimaryState } from './machine.ts';
import type { PrimaryParts } from './parts.ts';

/** What the primary's agent says to whoever watches it: its states, and what went wrong. */
export class AgentVoice {
  readonly #parts: Pick<PrimaryParts, 'emit' | 'progress'>;
  readonly #onBug: (error: unknown) => void;
  readonly #warned = new Set<string>();

  /** `onBug` is told of errors that are none of ours. */
  constructor(parts: Pick<PrimaryParts, 'emit' | 'progress'>, onBug: (error: unknown) => void) {
    this.#parts = parts;
    this.#onBug = onBug;
  }

  stateChanged(before: PrimaryState, state: PrimaryState, event: PrimaryEvent): void {
    const { emit, progress } = this.#parts;
    const cause = causeOf(event, state);
    emit({ kind: 'state', role: 'primary', from: before.name, to: state.name, cause });
    progress.show('waits' in state ? 'held' : activityOf[state.name]);
  }

  /** Once for each code, until `repeat`. */
  warn(error: unknown): void {
    if (!isUnderstudyError(error)) {
      this.#onBug(error);
      return;
    }
    if (this.#warned.has(error.code)) return;
    this.#warned.add(error.code);
    const { code, message, hint } = error;
    this.#parts.emit({ kind: 'warning', code, message, hint });
  }

  /** What was warned of before is said again when it is so again. */
  repeat(): void {
    this.#warned.clear();
  }
}
