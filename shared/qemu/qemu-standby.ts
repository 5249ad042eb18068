import { rmSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { UnderstudyError } from '../errors.ts';
import type { Guest, GuestDescription, Standby } from '../guest/guest.ts';
import { setMigrationOptions } from './baseline.ts';
import type { GuestConfig } from './guest-options.ts';
import { HoldMark } from './hold-mark.ts';
import { spliceStream } from './migration-stream.ts';
import { putAhead } from './precedence.ts';
import { writeRecord } from './process-record.ts';
import { checkProtectable } from './protectable.ts';
import { QemuGuest } from './qemu-guest.ts';
import { type QemuInstance, type StartOptions, startInstance } from './qemu-instance.ts';

/**
 * A QEMU that waits with the guest's devices and RAM file, everything done ahead that can be:
 * started, connected, its migration options set. `load` and `resume` are what a takeover costs.
 */
export class QemuStandby implements Standby {
  readonly description: GuestDescription;
  readonly pid: number;
  readonly #instance: QemuInstance;
  readonly #goneListeners = new Set<(reason: string) => void>();
  #gone: string | undefined;
  #migration: ((status: string) => void) | undefined;

  /** The RAM file must exist, of the guest's size. Errors: those of `startInstance`. */
  static async start(config: GuestConfig, options: StartOptions = {}): Promise<QemuStandby> {
    const instance = await startInstance(config, 'standby', options);
    try {
      await checkProtectable(instance);
      await setMigrationOptions(instance.process);
      putAhead(instance.process.identity.pid);
    } catch (error) {
      await end(instance);
      throw error;
    }
    return new QemuStandby(instance);
  }

  private constructor(instance: QemuInstance) {
    this.#instance = instance;
    this.description = instance.description;
    this.pid = instance.process.identity.pid;
    instance.process.listen({
      onQmpEvent: ({ event, data }) => {
        if (event === 'MIGRATION') this.#migration?.(String(data.status));
      },
      onGone: (reason) => this.#onGone(reason),
    });
  }

  /**
   * Errors: `E_BASELINE_CORRUPT`, `E_DEVICE_STATE_CORRUPT` (the standby can be fed again),
   * `E_STANDBY_REFUSED` (QEMU did not take the stream; this standby is of no more use).
   */
  async load(baseline: Uint8Array, deviceState: Uint8Array): Promise<void> {
    const stream = spliceStream(baseline, deviceState);
    const path = this.#instance.paths.stream;
    rmSync(path, { force: true });
    const loaded = this.#loaded();
    loaded.catch(() => undefined); // what is thrown first is what the caller gets
    try {
      await this.#instance.process.execute('migrate-incoming', { uri: `unix:${path}` });
      await Promise.race([send(path, stream), loaded.then(() => undefined)]);
      await loaded;
    } finally {
      this.#migration = undefined;
      rmSync(path, { force: true });
    }
  }

  async resume(): Promise<Guest> {
    const { process, paths, description } = this.#instance;
    // Before it runs: an agent that dies here must not leave a guest that looks like a standby.
    writeRecord(paths.record, { ...process.identity, role: 'guest', description });
    await process.execute('cont');
    HoldMark.make(paths.holdMark, false);
    return QemuGuest.fromInstance(this.#instance);
  }

  async discard(): Promise<void> {
    this.#goneListeners.clear();
    await end(this.#instance);
  }

  /** Lets go of the standby, which goes on waiting until the next one takes its place. */
  async detach(): Promise<void> {
    this.#goneListeners.clear();
    this.#instance.process.detach();
    this.#instance.lock.release();
  }

  onGone(listener: (reason: string) => void): void {
    this.#goneListeners.add(listener);
    const gone = this.#gone;
    if (gone !== undefined) setImmediate(() => listener(gone));
  }

  /** Resolves when QEMU says that it has loaded the stream. */
  #loaded(): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(refused('QEMU hangs')), loadTimeoutMs);
      this.#migration = (status) => {
        if (status === 'completed') resolve();
        else if (status === 'failed') void this.#reason().then((why) => reject(refused(why)));
        else return;
        clearTimeout(timer);
      };
    });
  }

  /** QEMU says that it failed, then ends: the reason is in what it says last. */
  async #reason(): Promise<string> {
    const deadline = performance.now() + lastWordsTimeoutMs;
    while (this.#gone === undefined && performance.now() < deadline) await sleep(5);
    return this.#gone ?? 'see qemu.log';
  }

  #onGone(reason: string): void {
    this.#gone = reason;
    this.#migration?.('failed');
    for (const listener of this.#goneListeners) listener(reason);
  }
}

const loadTimeoutMs = 10_000;
const lastWordsTimeoutMs = 1000;

/** Writes the whole stream and ends it. QEMU may close early: its own words are better. */
function send(path: string, stream: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(path, () => socket.end(stream));
    socket.once('error', () => resolve());
    socket.once('close', () => resolve());
  });
}

async function end(instance: QemuInstance): Promise<void> {
  await instance.process.kill();
  instance.process.detach();
  instance.lock.release();
}

function refused(reason: string): UnderstudyError {
  return new UnderstudyError('E_STANDBY_REFUSED', `the standby did not load the guest: ${reason}`, {
    hint: 'Both sides need the same QEMU, machine, devices and memory; compare their guest sections.',
    fields: { reason },
  });
}
