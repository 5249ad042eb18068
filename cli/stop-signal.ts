import { constants } from 'node:os';

const stopSignals = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/**
 * Turns the first SIGTERM, SIGINT or SIGHUP into an abort, with the signal's name as its reason;
 * the second ends the process at once with the status that a shell would report.
 */
export function watchStopSignals(): StopSignals {
  const controller = new AbortController();
  const onSignal = (name: NodeJS.Signals): void => {
    if (controller.signal.aborted) process.exit(128 + constants.signals[name]);
    controller.abort(name);
  };
  for (const name of stopSignals) process.on(name, onSignal);
  return {
    stop: controller.signal,
    unwatch: () => {
      for (const name of stopSignals) process.off(name, onSignal);
    },
  };
}

export interface StopSignals {
  readonly stop: AbortSignal;
  unwatch(): void;
}
