import { EpochDigest } from '../../shared/codec/digest.ts';
import type { DiskServer } from '../../shared/disk/disk-server.ts';
import { UnderstudyError } from '../../shared/errors.ts';
import { type Epoch, epoch } from '../../shared/ids.ts';
import type { StreamSender } from '../../shared/transport/stream-sender.ts';
import type { DiskSeal } from '../../shared/wire/disk-body.ts';

interface Totals {
  bytes: number;
  frameCount: number;
  readonly digest: EpochDigest;
}

/** A body that is to be sent, or somebody who waits until all before it are. */
type Entry =
  | { readonly epoch: Epoch; readonly body: Uint8Array; readonly sent: () => void }
  | { readonly reached: () => void };

/**
 * The changes of the guest's disks on their way to the backup: as they are made, beside the pages
 * of the epochs before them, in one stream. What the log has handed out and what waits here is
 * bounded by the log, which holds the guest's changes up.
 */
export class ChangeStream {
  readonly #server: DiskServer;
  readonly #sender: StreamSender;
  readonly #queue: Entry[] = [];
  readonly #totals = new Map<Epoch, Totals>();
  #sending = false;
  #failed: unknown;
  #closed = false;

  /** Logs changes from now on, for the first epoch. */
  constructor(server: DiskServer, sender: StreamSender, frameBytes: number) {
    this.#server = server;
    this.#sender = sender;
    server.startLog(epoch(1), frameBytes, (number, body, sent) => {
      this.#queue.push({ epoch: number, body, sent });
      this.#send();
    });
  }

  /** The guest stands still: its changes so far are those of `number` and the epochs before. */
  barrier(number: Epoch): void {
    this.#server.barrier(epoch(number + 1));
  }

  /** What the changes of `number` add up to, once all of them are in the stream. */
  async seal(number: Epoch): Promise<DiskSeal> {
    await this.#server.seal();
    await this.settled();
    const { bytes, frameCount, digest } = this.#totalsOf(number);
    this.#totals.delete(number);
    return { kind: 'disk-seal', bytes, frameCount, digest: digest.value() };
  }

  /** Resolves when everything that was handed over so far is in the stream. */
  async settled(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#queue.push({ reached: resolve });
      this.#send();
    });
    if (this.#failed !== undefined) throw this.#failed;
    if (this.#closed) throw closedStream();
  }

  /** Resolves when the backup has taken everything that was handed over so far. */
  async taken(): Promise<void> {
    await this.settled();
    await this.#sender.consumed();
  }

  /** Nothing is logged any more. Whoever waits is told. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#server.stopLog();
    this.#send();
  }

  #send(): void {
    if (this.#sending) return;
    this.#sending = true;
    this.#sendAll().finally(() => {
      this.#sending = false;
    });
  }

  async #sendAll(): Promise<void> {
    for (let entry = this.#queue.shift(); entry !== undefined; entry = this.#queue.shift()) {
      if ('reached' in entry) {
        entry.reached();
        continue;
      }
      if (this.#closed || this.#failed !== undefined) continue;
      const { epoch: number, body, sent } = entry;
      try {
        await this.#sender.send('disk', number, [body]);
      } catch (error) {
        // The stream is broken or closed; its owner was told by itself.
        this.#failed = error;
        continue;
      }
      const totals = this.#totalsOf(number);
      totals.bytes += body.byteLength;
      totals.frameCount += 1;
      totals.digest.update(body);
      sent();
    }
  }

  #totalsOf(number: Epoch): Totals {
    const known = this.#totals.get(number);
    if (known !== undefined) return known;
    const totals = { bytes: 0, frameCount: 0, digest: new EpochDigest() };
    this.#totals.set(number, totals);
    return totals;
  }
}

function closedStream(): UnderstudyError {
  return new UnderstudyError('E_SESSION_CLOSED', 'the session of the disks is closed', {
    hint: 'The next session brings the backup level; nothing has to be done.',
  });
}
