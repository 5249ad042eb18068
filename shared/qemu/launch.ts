import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, fstatSync, mkdirSync, openSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { systemCode, UnderstudyError } from '../errors.ts';
import { defaultQemu, type GuestConfig, type GuestPaths } from './guest-options.ts';
import { identify, isRunning, type ProcessIdentity } from './process-record.ts';
import { exitReason, logTail } from './qemu-exit.ts';
import { QmpClient } from './qmp.ts';

export interface LaunchOptions {
  readonly config: GuestConfig;
  readonly paths: GuestPaths;
  readonly args: readonly string[];
  /** The memory shim lets no write to RAM go unnoted, from the first on. */
  readonly notesWrites: boolean;
  /** Until QMP answers; a large guest on a slow disk takes longest. */
  readonly timeoutMs?: number;
  /** Called as soon as the process exists: whoever comes next can find it. */
  readonly onSpawn: (identity: ProcessIdentity) => void;
}

export interface LaunchedQemu {
  readonly identity: ProcessIdentity;
  readonly qmp: QmpClient;
}

/**
 * Starts QEMU in a session of its own, so that it outlives the agent, and waits until it answers.
 *
 * Errors: `E_QEMU_MISSING`, `E_QEMU_EXITED` (with what QEMU said), `E_QMP_TIMEOUT`. After an
 * error the process is gone.
 */
export async function launchQemu(options: LaunchOptions): Promise<LaunchedQemu> {
  const { config, paths, notesWrites, timeoutMs = launchTimeoutMs } = options;
  prepareFolder(paths);
  const log = openSync(paths.log, 'a', 0o600);
  const logStart = fstatSync(log).size;
  let child: ChildProcess;
  try {
    child = await spawnDetached(
      config.qemu ?? defaultQemu,
      options.args,
      log,
      shimEnv(paths, notesWrites),
    );
  } finally {
    closeSync(log);
  }
  let exit: string | undefined;
  child.on('exit', (code, signal) => {
    exit = signal === null ? `exit status ${code}` : `signal ${signal}`;
  });
  const identity = identify(child.pid!);
  const checkAlive = (): void => {
    if (exit === undefined && identity !== undefined && isRunning(identity)) return;
    throw exitReason(logTail(paths.log, logStart), exit);
  };
  try {
    if (identity === undefined) throw exitReason(logTail(paths.log, logStart), exit);
    options.onSpawn(identity);
    const qmp = await QmpClient.connect({ path: paths.monitor, timeoutMs, checkAlive });
    child.unref();
    return { identity, qmp };
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
}

/** Where `setup/build.mjs native` puts the shim, seen from the built file beside it. */
export const shimPath = fileURLToPath(new URL('../../native/memory-shim.so', import.meta.url));

const launchTimeoutMs = 20_000;

function prepareFolder(paths: GuestPaths): void {
  mkdirSync(paths.folder, { recursive: true, mode: 0o700 });
  const monitors = [paths.monitor, paths.operatorMonitor, paths.devicesMonitor];
  for (const stale of [...monitors, paths.stream, paths.shimStatus]) {
    rmSync(stale, { force: true });
  }
}

/** Without the shim QEMU runs as well; the agent then uses another way to find written pages. */
function shimEnv(paths: GuestPaths, notesWrites: boolean): NodeJS.ProcessEnv {
  if (!existsSync(shimPath)) return process.env;
  const preload = [shimPath, process.env.LD_PRELOAD].filter(Boolean).join(':');
  return {
    ...process.env,
    LD_PRELOAD: preload,
    UNDERSTUDY_RAM_FILE: paths.ram,
    UNDERSTUDY_SHIM_STATUS: paths.shimStatus,
    ...(notesWrites ? { UNDERSTUDY_SHIM_FROM_START: '1' } : {}),
  };
}

function spawnDetached(
  program: string,
  args: readonly string[],
  log: number,
  env: NodeJS.ProcessEnv,
): Promise<ChildProcess> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { detached: true, stdio: ['ignore', log, log], env });
    child.once('spawn', () => resolve(child));
    child.once('error', (cause) => {
      const code = systemCode(cause) ?? 'unknown';
      const hint = 'Install it (apt-get install qemu-system-x86) or name it as guest.qemu.';
      const fields = { program, cause: code };
      const message = `${program} can't be run: ${code}`;
      reject(new UnderstudyError('E_QEMU_MISSING', message, { hint, fields, cause }));
    });
  });
}
