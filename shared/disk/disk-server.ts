import { Worker } from 'node:worker_threads';
import type { KnownChanges } from '../change-basis.ts';
import { UnderstudyError } from '../errors.ts';
import type { Epoch, SessionId } from '../ids.ts';
import {
  type CallResult,
  changesAre,
  type DigestSettings,
  type DiskKnowledge,
  type DiskTask,
  diskControl,
  type FromDiskThread,
  type PageRange,
  type PlainError,
  type ProvenRegions,
  type ToDiskThread,
} from './disk-control.ts';

export interface DiskServerOptions {
  /** Raw images or block devices, in the order of the guest's disks. */
  readonly images: readonly string[];
  /** The unix socket where QEMU finds them, as `disk0`, `disk1`, … */
  readonly socketPath: string;
  /** On a disk of the host: where it is remembered which parts of the disks were changed. */
  readonly mapFolder: string;
  /** The thread died: `E_DISK_THREAD`. */
  readonly onDeath: (error: UnderstudyError) => void;
  /**
   * The host failed a request, and the guest was told: `E_DISK_IO`; a map of changes can't be written:
   * `E_DISK_MAP`. Each once a minute for each disk.
   */
  readonly onTrouble: (error: UnderstudyError) => void;
}

/**
 * Takes changes of the disks in their order. `sent` is to be called once they have left; `body` is
 * no longer the caller's then.
 */
export type TakeChanges = (epoch: Epoch, body: Uint8Array, sent: () => void) => void;

/**
 * Serves a guest's disks to its QEMU over NBD, from a thread of its own. It outlives the roles of
 * its host: the guest's disks stay where they are when a backup becomes the primary. Changes wait
 * until it is said whether the guest runs here.
 */
export class DiskServer {
  readonly #worker: Worker;
  readonly #control: Int32Array;
  readonly #calls = new Map<number, Call>();
  readonly #ended: Promise<void>;
  #sizes: readonly number[] = [];
  #lastCall = 0;
  #log = 0;
  #take: TakeChanges | undefined;
  #closing = false;
  readonly #onTrouble: (error: UnderstudyError) => void;

  /** Resolves when QEMU can connect. Throws `E_DISK_UNAVAILABLE`, `E_DISK_LOCKED`. */
  static async start(options: DiskServerOptions): Promise<DiskServer> {
    const control = new SharedArrayBuffer(4 * diskControl.cells);
    const { images, socketPath, mapFolder } = options;
    const workerData: DiskTask = { images, socketPath, mapFolder, control };
    const worker = new Worker(new URL('./disk-worker.js', import.meta.url), { workerData });
    const server = new DiskServer(worker, new Int32Array(control), options);
    await new Promise<void>((resolve, reject) => {
      worker.once('error', reject);
      worker.once('message', (message: FromDiskThread) => {
        if (message.kind === 'ready') {
          server.#sizes = message.sizes;
          resolve();
        } else if (message.kind === 'failed') {
          server.#closing = true;
          reject(revived(message.error));
          void worker.terminate();
        }
      });
    });
    return server;
  }

  private constructor(
    worker: Worker,
    control: Int32Array,
    { onDeath, onTrouble }: Pick<DiskServerOptions, 'onDeath' | 'onTrouble'>,
  ) {
    this.#onTrouble = onTrouble;
    this.#worker = worker;
    this.#control = control;
    worker.on('message', (message: FromDiskThread) => this.#onMessage(message));
    let cause: Error | undefined;
    worker.on('error', (error: Error) => {
      cause = error;
    });
    this.#ended = new Promise((resolve) => {
      worker.on('exit', () => {
        resolve();
        const error = threadDied(cause);
        for (const call of this.#calls.values()) call.reject(error);
        this.#calls.clear();
        if (!this.#closing) onDeath(error);
      });
    });
  }

  /** Size of each disk in bytes. */
  get sizes(): readonly number[] {
    return this.#sizes;
  }

  /** The guest runs here: it may change its disks. */
  openToChanges(): void {
    this.#decide(changesAre.open);
  }

  /** The guest does not run here: a change is refused. */
  refuseChanges(): void {
    this.#decide(changesAre.refused);
  }

  /** Logs changes from now on, first for `epoch`, in bodies of at most `frameBytes`. */
  startLog(epoch: Epoch, frameBytes: number, take: TakeChanges): void {
    this.#log += 1;
    this.#take = take;
    Atomics.store(this.#control, diskControl.epoch, epoch);
    this.#say({ kind: 'start-log', log: this.#log, frameBytes });
  }

  stopLog(): void {
    this.#take = undefined;
    this.#log += 1;
    this.guestRuns();
    this.#say({ kind: 'stop-log' });
  }

  /** The guest is about to be stopped: no FLUSH waits for the host's disk until it runs again. */
  guestStops(): void {
    Atomics.store(this.#control, diskControl.pausing, 1);
    this.#say({ kind: 'guest-stops' });
  }

  guestRuns(): void {
    Atomics.store(this.#control, diskControl.pausing, 0);
  }

  /** The guest stands still: what it changes from now on belongs to `epoch`. */
  barrier(epoch: Epoch): void {
    Atomics.store(this.#control, diskControl.epoch, epoch);
  }

  /** Resolves when every change of epochs that a barrier has ended was handed to `take`. */
  async seal(): Promise<void> {
    await this.#call((call) => ({ kind: 'seal', call }));
  }

  async digests(range: PageRange, settings: DigestSettings): Promise<BigUint64Array> {
    const { hash, blockBytes, secret } = settings;
    const plain = { hash, blockBytes, secret: new Uint8Array(secret) };
    const asked = (call: number) => ({ kind: 'digests', call, range, settings: plain }) as const;
    return (await this.#call(asked)) as BigUint64Array;
  }

  /** Logs these pages as they are. */
  async copy(disk: number, pages: Uint32Array): Promise<void> {
    await this.#call((call) => ({ kind: 'copy', call, disk, pages }));
  }

  /** Remembers which pages are changed from now on, until `watch(false)`. */
  async watch(isOn: boolean): Promise<void> {
    await this.#call((call) => ({ kind: 'watch', call, isOn }));
  }

  /** Those of `pages` that were not changed since the watch began. */
  async unchanged(disk: number, pages: Uint32Array): Promise<Uint32Array> {
    return (await this.#call((call) => ({ kind: 'unchanged', call, disk, pages }))) as Uint32Array;
  }

  /** The backup has this epoch of the session whose changes are logged. */
  acked(session: SessionId, epoch: Epoch): void {
    this.#say({ kind: 'acked', log: this.#log, session, epoch });
  }

  /**
   * The disks are exactly those of the epoch, and the guest goes on from it on this host. To be
   * called before it does. Throws `E_DISK_MAP`.
   */
  async startFrom(session: SessionId, epoch: Epoch): Promise<void> {
    await this.#call((call) => ({ kind: 'start-from', call, session, epoch }));
  }

  /** The images are about to be changed by another host's epochs. Throws `E_DISK_MAP`. */
  async forgetChanges(): Promise<void> {
    await this.#call((call) => ({ kind: 'forget', call }));
  }

  /**
   * The images are changed by the primary of this session alone from now on, which brings them
   * level. Throws `E_DISK_MAP`.
   */
  async follow(session: SessionId): Promise<void> {
    await this.#call((call) => ({ kind: 'follow', call, session }));
  }

  /**
   * Syncs a disk; what is then known of it survives a loss of power, with all that was written
   * before the call. Null: nothing, or a sync of it has failed.
   */
  async knownSynced(disk: number): Promise<KnownChanges | null> {
    const known = await this.#call((call) => ({ kind: 'known-synced', call, disk }));
    return (known as KnownChanges | undefined) ?? null;
  }

  /**
   * From now on it is remembered in how far the other host, which follows, is level: not in
   * `regions`, or, null, nowhere yet. False where that can't be.
   */
  async lead(disk: number, session: SessionId, regions: Uint32Array | null): Promise<boolean> {
    return (await this.#call((call) => ({
      ...{ kind: 'lead', call, disk, session, regions },
    }))) as boolean;
  }

  /** Ends a round: its number. All changes of it were handed to `take` when this resolves. */
  async endRound(disk: number): Promise<number> {
    return (await this.#call((call) => ({ kind: 'end-round', call, disk }))) as number;
  }

  /** The other host has these regions, for good, as they were when the round ended. */
  async proven(proven: ProvenRegions): Promise<void> {
    await this.#call((call) => ({ kind: 'proven', call, ...proven }));
  }

  /** In how far each disk is known to differ from that of an epoch. */
  async known(): Promise<readonly DiskKnowledge[]> {
    return (await this.#call((call) => ({ kind: 'known', call }))) as readonly DiskKnowledge[];
  }

  async close(): Promise<void> {
    this.#closing = true;
    const force = setTimeout(() => void this.#worker.terminate(), closeMs);
    await this.#call((call) => ({ kind: 'close', call })).catch(() => {});
    await this.#ended;
    clearTimeout(force);
  }

  #onMessage(message: FromDiskThread): void {
    switch (message.kind) {
      case 'changes': {
        const { log, epoch, body } = message;
        if (log !== this.#log) return;
        const bytes = body.byteLength;
        this.#take?.(epoch as Epoch, body, () => {
          const memory = body.buffer as ArrayBuffer;
          this.#say({ kind: 'sent', log, bytes, memory }, [memory]);
        });
        return;
      }
      case 'done':
        this.#calls.get(message.call)?.resolve(message.result);
        this.#calls.delete(message.call);
        return;
      case 'trouble':
        this.#onTrouble(revived(message.error));
        return;
      case 'not-done':
        this.#calls.get(message.call)?.reject(revived(message.error));
        this.#calls.delete(message.call);
        return;
      default:
    }
  }

  #decide(changes: number): void {
    Atomics.store(this.#control, diskControl.changes, changes);
    this.#say({ kind: 'decided' });
  }

  #call(message: (call: number) => ToDiskThread): Promise<CallResult> {
    return new Promise((resolve, reject) => {
      const call = ++this.#lastCall;
      this.#calls.set(call, { resolve, reject });
      this.#say(message(call));
    });
  }

  #say(message: ToDiskThread, moved: readonly ArrayBuffer[] = []): void {
    this.#worker.postMessage(message, moved);
  }
}

interface Call {
  resolve(result: CallResult): void;
  reject(error: unknown): void;
}

const closeMs = 5000;

const revived = ({ code, message, hint }: PlainError): UnderstudyError =>
  new UnderstudyError(code, message, { hint });

function threadDied(cause: Error | undefined): UnderstudyError {
  const why = cause === undefined ? '' : `: ${cause.message}`;
  return new UnderstudyError('E_DISK_THREAD', `the thread that serves the disks died${why}`, {
    hint: 'This is a fault of Understudy; restart the agent and report it. The guest waits.',
    cause,
  });
}
