import { constants } from 'node:os';
import { UnderstudyError } from '../shared/errors.ts';

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export interface Interrupts {
  /** Aborts with `E_DRILL_INTERRUPTED` at the first signal; the drill then clears away. */
  readonly signal: AbortSignal;
  /** 128 and the signal's number, as a shell has it; 1 if there was none. */
  exitStatus(): number;
  unwatch(): void;
}

/** The second signal ends the process at once, whatever it leaves behind. */
export function watchInterrupts(): Interrupts {
  const controller = new AbortController();
  let status = 1;
  const onSignal = (name: NodeJS.Signals): void => {
    status = 128 + constants.signals[name];
    if (controller.signal.aborted) process.exit(status);
    controller.abort(
      new UnderstudyError('E_DRILL_INTERRUPTED', `the drill was interrupted by ${name}`, {
        hint: 'What it had started was ended and removed.',
        fields: { signal: name },
      }),
    );
  };
  for (const name of signals) process.on(name, onSignal);
  return {
    signal: controller.signal,
    exitStatus: () => status,
    unwatch: () => {
      for (const name of signals) process.off(name, onSignal);
    },
  };
}
