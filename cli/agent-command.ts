import { setFlagsFromString } from 'node:v8';
import { loadConfig } from '../shared/config/load.ts';
import type { BackupConfig, PrimaryConfig } from '../shared/config/schema.ts';
import { createObserver } from '../shared/observe/observer.ts';
import type { RunCommand } from './command.ts';
import { exitCode } from './exit-code.ts';
import { watchStopSignals } from './stop-signal.ts';

/** `understudy primary` and `understudy backup`: daemons, each with its file. */
export const runPrimary: RunCommand = (input) =>
  runAgent(loadConfig(input.text('config')!, 'primary'), input.text('trace'));

export const runBackup: RunCommand = (input) =>
  runAgent(loadConfig(input.text('config')!, 'backup'), input.text('trace'));

async function runAgent(
  config: PrimaryConfig | BackupConfig,
  traceFile: string | undefined,
): Promise<number> {
  setFlagsFromString(garbageMax);
  const { stop, unwatch } = watchStopSignals();
  const base = { role: config.role, guest: config.guest.name };
  const observer = createObserver({ log: config.log, base, traceFile });
  const { log } = observer;
  stop.addEventListener('abort', () => {
    log.info(`${stop.reason}: stopping (again: at once)`, { event: 'stopping' });
  });
  try {
    // Loaded here: a refused file is reported without waiting for everything else.
    const { runRole } = await import('./role.ts');
    log.info(`${config.role} of guest ${config.guest.name}, process ${process.pid}`, {
      event: 'started',
      pid: process.pid,
    });
    const status = await runRole(config, observer, stop);
    log.info('stopped', { event: 'stopped', status });
    return status;
  } catch (error) {
    if (!isAbort(error, stop)) throw error;
    // Asked to stop before it was ready: what waited was given up, and that is all.
    log.info('stopped', { event: 'stopped', status: exitCode.ok });
    return exitCode.ok;
  } finally {
    await observer.close();
    unwatch();
  }
}

/**
 * Buffers that pass through count as much as objects do, and an agent has few of those (15 MB): left
 * alone, V8 marked all of them for every 8 MB or so, a third of an agent's time when the guest writes
 * much. With it up to five times what lives is in use between two markings.
 */
const garbageMax = '--heap-growing-percent=400';

function isAbort(error: unknown, stop: AbortSignal): boolean {
  if (!stop.aborted) return false;
  return error === stop.reason || (error instanceof Error && error.name === 'AbortError');
}
