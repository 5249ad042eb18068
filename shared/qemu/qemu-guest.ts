import { createHash } from 'node:crypto';
import { readFileSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { isUnderstudyError, UnderstudyError } from '../errors.ts';
import type {
  DirectIoMark,
  FoundGuest,
  Guest,
  GuestDescription,
  GuestEvent,
} from '../guest/guest.ts';
import type { GuestName } from '../ids.ts';
import { RamFile } from '../memory/ram-file.ts';
import { saveBaselineStream } from './baseline.ts';
import { DirectIoCounter } from './direct-io.ts';
import type { GuestConfig } from './guest-options.ts';
import { HoldMark } from './hold-mark.ts';
import { checkDeviceState } from './migration-stream.ts';
import { putInLineSoon } from './precedence.ts';
import { freeze, type ProcessIdentity } from './process-record.ts';
import { checkProtectable } from './protectable.ts';
import { adoptInstance, type QemuInstance, startInstance } from './qemu-instance.ts';
import type { QmpEvent } from './qmp.ts';
import { ReadyCommand } from './ready-command.ts';

export interface StartGuestOptions {
  /** True: leave the vCPUs held; `resume` starts them. */
  readonly paused?: boolean;
  /** Until QMP answers. */
  readonly timeoutMs?: number;
}

export interface TrackedMemory {
  readonly pid: number;
  readonly ramPath: string;
  readonly memory: RamFile;
  /** What the memory shim said when QEMU mapped the RAM. */
  readonly shimStatusPath: string;
}

export interface AdoptedGuest {
  readonly guest: QemuGuest;
  readonly found: FoundGuest;
}

interface QueriedStatus {
  readonly running: boolean;
  readonly status: string;
}

/** A guest in a QEMU of ours. See `Guest` for what each method promises. */
export class QemuGuest implements Guest {
  readonly name: GuestName;
  readonly description: GuestDescription;
  readonly memory: RamFile;
  readonly pid: number;
  readonly instance: string;
  readonly #instance: QemuInstance;
  readonly #listeners = new Set<(event: GuestEvent) => void>();
  /** True while a stop or start that QEMU reports is this agent's own. */
  #ownStop = false;
  #ownResume = false;
  /** An operator, or QEMU itself, stopped the guest: it is theirs to let run again. */
  #heldByOther = false;
  readonly #mark: HoldMark;
  #directIo: Promise<DirectIoCounter> | undefined;
  readonly #save: ReadyCommand;

  /**
   * Starts the guest with new, empty memory. Errors: those of `startInstance`, and
   * `E_GUEST_UNPROTECTABLE` with the reason; the process is gone then.
   */
  static async start(config: GuestConfig, options: StartGuestOptions = {}): Promise<QemuGuest> {
    const { timeoutMs, paused = false } = options;
    const limit = timeoutMs === undefined ? {} : { timeoutMs };
    const instance = await startInstance(config, 'guest', limit);
    try {
      await checkProtectable(instance);
      const guest = QemuGuest.fromInstance(instance);
      if (!paused) await guest.resume();
      return guest;
    } catch (error) {
      await instance.process.kill();
      instance.process.detach();
      instance.lock.release();
      throw error;
    }
  }

  /**
   * Takes over a guest that is there without an agent. Errors: those of `adoptInstance`. One that an
   * agent left standing still, which died in a pause, is to be resumed with the right to run.
   */
  static async adopt(config: GuestConfig): Promise<AdoptedGuest> {
    const instance = await adoptInstance(config);
    try {
      await checkProtectable(instance);
      const guest = QemuGuest.fromInstance(instance);
      // It may have been a standby until now.
      putInLineSoon(guest.pid);
      return { guest, found: await guest.#find() };
    } catch (error) {
      instance.process.detach();
      instance.lock.release();
      throw error;
    }
  }

  /** For an instance that was found protectable. */
  static fromInstance(instance: QemuInstance): QemuGuest {
    const memory = RamFile.open(instance.paths.ram, instance.config.memoryBytes);
    return new QemuGuest(instance, memory);
  }

  private constructor(instance: QemuInstance, memory: RamFile) {
    this.#instance = instance;
    const { holdMark, devicesMonitor, deviceState } = instance.paths;
    this.#mark = HoldMark.open(holdMark);
    this.#save = new ReadyCommand(devicesMonitor, saveCommand, saveArguments(deviceState));
    this.memory = memory;
    this.name = instance.config.name;
    this.description = instance.description;
    this.pid = instance.process.identity.pid;
    this.instance = instanceOf(instance.process.identity);
    instance.process.listen({
      onQmpEvent: (event) => this.#onQmpEvent(event),
      onGone: (reason) => this.#emit({ kind: 'gone', reason }),
    });
  }

  /** What primary/capture needs to find the pages that this guest writes. */
  get tracked(): TrackedMemory {
    const { ram: ramPath, shimStatus: shimStatusPath } = this.#instance.paths;
    return { pid: this.pid, ramPath, memory: this.memory, shimStatusPath };
  }

  /** Two of QEMU's threads, their caches and the path there and back are cold a moment later. */
  async wake(): Promise<void> {
    await this.#instance.process.execute('query-status');
  }

  async pause(): Promise<void> {
    this.#ownStop = true;
    if (!this.#heldByOther) this.#mark.set(true);
    try {
      await this.#instance.process.execute('stop');
    } finally {
      this.#ownStop = false;
    }
  }

  async resume(): Promise<void> {
    if (this.#heldByOther) return;
    this.#ownResume = true;
    try {
      await this.#instance.process.execute('cont');
      this.#mark.set(false);
      // Not before whoever counts the pause knows that it is over.
      setImmediate(() => this.#save.prepare());
    } finally {
      this.#ownResume = false;
    }
  }

  /** True where the vCPUs run; an operator may have stopped them while no agent looked. */
  async isRunning(): Promise<boolean> {
    return (await this.#instance.process.execute<{ running: boolean }>('query-status')).running;
  }

  async saveDeviceState(): Promise<Uint8Array> {
    const { deviceState: filename } = this.#instance.paths;
    try {
      if (!(await this.#save.run())) {
        await this.#instance.process.execute(saveCommand, saveArguments(filename));
      }
    } catch (error) {
      throw isUnderstudyError(error, 'E_QMP_ERROR') ? unsavable(filename, error) : error;
    }
    const bytes = readFileSync(filename);
    checkDeviceState(bytes);
    return bytes;
  }

  async saveBaseline(): Promise<Uint8Array> {
    return saveBaselineStream(this.#instance.process);
  }

  async directIoMark(): Promise<DirectIoMark> {
    const { process, config } = this.#instance;
    this.#directIo ??= DirectIoCounter.open(process, config.extraArguments);
    return await (await this.#directIo).mark();
  }

  onEvent(listener: (event: GuestEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async detach(): Promise<void> {
    this.#listeners.clear();
    this.#save.close();
    this.#instance.process.detach();
    this.#mark.close();
    this.memory.close();
    this.#instance.lock.release();
  }

  /** QEMU does nothing more; false where that can't be had. To be followed by `terminate`. */
  async freeze(): Promise<boolean> {
    return await freeze(this.#instance.process.identity);
  }

  /** Ends QEMU at once, without a word to the guest. `detach` afterwards all the same. */
  async terminate(): Promise<void> {
    await this.#instance.process.kill();
  }

  async #find(): Promise<FoundGuest> {
    const { running, status } = await this.#instance.process.execute<QueriedStatus>('query-status');
    if (running) {
      this.#mark.set(false);
      return 'running';
    }
    if (this.#mark.isSet) return status === 'prelaunch' ? 'new' : 'paused';
    this.#heldByOther = true;
    return 'stopped';
  }

  #onQmpEvent(event: QmpEvent): void {
    if (event.event === 'STOP') {
      if (this.#ownStop) return;
      this.#heldByOther = true;
    }
    if (event.event === 'RESUME') {
      if (this.#ownResume) return;
      this.#heldByOther = false;
    }
    const told = guestEvent(event);
    if (told !== undefined) this.#emit(told);
  }

  #emit(event: GuestEvent): void {
    setImmediate(() => {
      for (const listener of this.#listeners) listener(event);
    });
  }
}

/** What a QMP event means for the guest; undefined for all that means nothing to us. */
function guestEvent({ event, data }: QmpEvent): GuestEvent | undefined {
  switch (event) {
    case 'RESET':
      return { kind: 'reset' };
    case 'SHUTDOWN':
      return { kind: 'shutdown', byGuest: data.guest === true };
    case 'STOP':
      return { kind: 'stopped', reason: 'stopped by QEMU or an operator' };
    case 'RESUME':
      return { kind: 'resumed' };
    default:
      return undefined;
  }
}

/** A process that is no other, of this or any other boot of this or any other host. */
function instanceOf({ pid, startTicks, bootId }: ProcessIdentity): string {
  const identity = `${bootId}/${pid}/${startTicks}`;
  return createHash('sha256').update(identity).digest('hex').slice(0, 16);
}

const saveCommand = 'xen-save-devices-state';
/** live: false, or the block devices would be handed over to another QEMU. */
const saveArguments = (filename: string) => ({ filename, live: false });

/** Below this much free room a failure to write is taken to be for want of it. */
const deviceStateRoomBytes = 2 ** 20;

function unsavable(filename: string, cause: UnderstudyError): UnderstudyError {
  const reason = String(cause.fields.reason);
  // QEMU says no more than that writing failed.
  const { bavail, bsize } = statfsSync(dirname(filename));
  if (bavail * bsize < deviceStateRoomBytes) {
    const hint = 'Free memory there or enlarge it: mount -o remount,size=SIZE MOUNTPOINT.';
    const fields = { path: filename, reason };
    return new UnderstudyError('E_TMPFS_FULL', `no room for device state at ${filename}`, {
      hint,
      fields,
      cause,
    });
  }
  return new UnderstudyError('E_GUEST_UNSAVABLE', `a device can't be saved: ${reason}`, {
    hint: 'Remove the device that QEMU names from the guest section, or see qemu.log.',
    fields: { reason },
    cause,
  });
}
