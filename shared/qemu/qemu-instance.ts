import { mkdirSync } from 'node:fs';
import { systemCode, UnderstudyError } from '../errors.ts';
import type { GuestDescription } from '../guest/guest.ts';
import { RamFile } from '../memory/ram-file.ts';
import { chooseAccelerator } from './accelerator.ts';
import { qemuArguments } from './arguments.ts';
import { GuestLock } from './guest-lock.ts';
import {
  checkGuestConfig,
  defaultMachine,
  devicesDigest,
  type GuestConfig,
  type GuestPaths,
  guestPaths,
} from './guest-options.ts';
import { HoldMark } from './hold-mark.ts';
import { launchQemu } from './launch.ts';
import {
  isRunning,
  type ProcessRecord,
  readRecord,
  removeRecord,
  writeRecord,
} from './process-record.ts';
import { QemuProcess } from './qemu-process.ts';
import { QmpClient } from './qmp.ts';

/** A QEMU of ours with everything that belongs to it. The lock is held. */
export interface QemuInstance {
  readonly config: GuestConfig;
  readonly paths: GuestPaths;
  readonly lock: GuestLock;
  readonly process: QemuProcess;
  readonly description: GuestDescription;
}

export interface StartOptions {
  /** Until QMP answers. */
  readonly timeoutMs?: number;
}

/**
 * Starts a QEMU with its vCPUs held. A guest gets a new RAM file of zeros; a standby uses the one
 * that is there. Errors: those of `launchQemu`, `RamFile` and `chooseAccelerator`,
 * `E_GUEST_CONFIG`, `E_GUEST_LOCKED`, `E_GUEST_RUNNING`, `E_RUN_FOLDER`.
 */
export async function startInstance(
  config: GuestConfig,
  role: ProcessRecord['role'],
  options: StartOptions = {},
): Promise<QemuInstance> {
  checkGuestConfig(config);
  const paths = guestPaths(config);
  const lock = lockFolder(config, paths);
  try {
    await endLeftOver(paths);
    const asked = config.accelerator;
    const { accelerator } = await chooseAccelerator(asked, config.memoryFolder, config.qemu);
    const ram = role === 'guest' ? RamFile.create : RamFile.open;
    ram(paths.ram, config.memoryBytes).close();
    HoldMark.make(paths.holdMark, true);
    const described = {
      memoryBytes: config.memoryBytes,
      vcpus: config.vcpus,
      machine: config.machine ?? defaultMachine,
      accelerator,
      devicesDigest: devicesDigest(config, accelerator),
    };
    const { identity, qmp } = await launchQemu({
      ...options,
      config,
      paths,
      args: qemuArguments({ config, paths, accelerator, role }),
      // Its RAM is what the backup holds: what it writes there is how the two come to differ.
      notesWrites: role === 'standby',
      onSpawn: (spawned) => {
        const description = { ...described, qemuVersion: 'starting' };
        writeRecord(paths.record, { ...spawned, role, description });
      },
    });
    const description = { ...described, qemuVersion: await queryVersion(qmp) };
    writeRecord(paths.record, { ...identity, role, description });
    return { config, paths, lock, process: new QemuProcess(identity, paths, qmp), description };
  } catch (error) {
    lock.release();
    throw error;
  }
}

/**
 * Takes over a guest that an earlier agent left running. Errors: `E_GUEST_NOT_RUNNING`,
 * `E_GUEST_MISMATCH` (it was started with another configuration), `E_GUEST_LOCKED`, `E_QMP_…`.
 */
export async function adoptInstance(config: GuestConfig): Promise<QemuInstance> {
  checkGuestConfig(config);
  const paths = guestPaths(config);
  const lock = lockFolder(config, paths);
  try {
    const record = readRecord(paths.record);
    if (record === undefined || !isRunning(record)) throw notRunning(paths, 'none runs');
    checkSame(config, record.description);
    const qmp = await QmpClient.connect({ path: paths.monitor, timeoutMs: adoptTimeoutMs });
    const status = await qmp.execute<{ status: string }>('query-status');
    if (status.status === 'inmigrate') {
      qmp.close();
      throw notRunning(paths, 'a standby waits there');
    }
    const description = { ...record.description, qemuVersion: await queryVersion(qmp) };
    return { config, paths, lock, process: new QemuProcess(record, paths, qmp), description };
  } catch (error) {
    lock.release();
    throw error;
  }
}

const adoptTimeoutMs = 5000;

function lockFolder(config: GuestConfig, paths: GuestPaths): GuestLock {
  for (const folder of [paths.folder, config.memoryFolder]) {
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
    } catch (cause) {
      const code = systemCode(cause) ?? 'unknown';
      throw new UnderstudyError('E_RUN_FOLDER', `${folder} can't be made: ${code}`, {
        hint: 'Name a folder that this user may write to as runFolder and memoryFolder.',
        fields: { folder, cause: code },
        cause,
      });
    }
  }
  return GuestLock.acquire(paths.lock);
}

/** A standby that an earlier agent left is of no use; a guest that runs must not be harmed. */
async function endLeftOver(paths: GuestPaths): Promise<void> {
  const record = readRecord(paths.record);
  if (record !== undefined && isRunning(record)) {
    if (record.role === 'guest') {
      throw new UnderstudyError('E_GUEST_RUNNING', `this guest runs already (pid ${record.pid})`, {
        hint: 'Adopt it, or end it first: two of it on one memory file would destroy each other.',
        fields: { pid: record.pid, folder: paths.folder },
      });
    }
    await killPid(record);
  }
  removeRecord(paths.record);
}

async function killPid(record: ProcessRecord): Promise<void> {
  process.kill(record.pid, 'SIGKILL');
  while (isRunning(record)) await new Promise((resolve) => setTimeout(resolve, 2));
}

async function queryVersion(qmp: QmpClient): Promise<string> {
  const { qemu } = await qmp.execute<{ qemu: { major: number; minor: number; micro: number } }>(
    'query-version',
  );
  return `${qemu.major}.${qemu.minor}.${qemu.micro}`;
}

function checkSame(config: GuestConfig, running: GuestDescription): void {
  const accelerator = running.accelerator === 'kvm' ? 'kvm' : 'tcg';
  if (devicesDigest(config, accelerator) === running.devicesDigest) return;
  throw new UnderstudyError('E_GUEST_MISMATCH', 'the running guest was started differently', {
    hint: 'Undo the change of the guest section, or end the guest and start it anew.',
    fields: { machine: running.machine, memoryBytes: running.memoryBytes, vcpus: running.vcpus },
  });
}

function notRunning(paths: GuestPaths, why: string): UnderstudyError {
  return new UnderstudyError('E_GUEST_NOT_RUNNING', `no guest in ${paths.folder}: ${why}`, {
    hint: 'Start the guest; there is none to adopt.',
    fields: { folder: paths.folder },
  });
}
