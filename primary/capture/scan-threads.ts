import {
  MessageChannel,
  type MessagePort,
  receiveMessageOnPort,
  Worker,
} from 'node:worker_threads';
import { bounds } from '../../shared/bounds.ts';
import type { HashSettings } from '../../shared/codec/kernels.ts';
import { UnderstudyError } from '../../shared/errors.ts';
import { pageBytes } from '../../shared/ids.ts';
import { control, type ScanTask } from './scan-task.ts';

/** The RAM that is digested, and how. */
export interface ScannedRam {
  readonly path: string;
  readonly pageCount: number;
  readonly hash: HashSettings;
  readonly threads: number;
}

/**
 * Threads that digest RAM, each with a WASM memory of its own. `pass` waits for them: a scan is of one
 * moment for whoever asks, and nothing else may come between two of them. This thread runs no kernel.
 */
export class ScanThreads {
  readonly #workers: readonly Worker[];
  readonly #ports: readonly MessagePort[];
  readonly #words = new Int32Array(new SharedArrayBuffer(4 * control.words));
  readonly #changed: Uint32Array;

  constructor({ path, pageCount, hash, threads }: ScannedRam) {
    const changed = new SharedArrayBuffer(4 * Math.ceil(pageCount / 32));
    this.#changed = new Uint32Array(changed);
    const shared = {
      ...{ ramPath: path, memoryBytes: pageCount * pageBytes, hash, changed },
      known: new SharedArrayBuffer(8 * pageCount),
      control: this.#words.buffer,
    };
    const url = new URL('./scan-worker.js', import.meta.url);
    const ports: MessagePort[] = [];
    this.#workers = Array.from({ length: threads }, (_, index) => {
      const { port1, port2 } = new MessageChannel();
      ports.push(port1);
      const task: ScanTask = { ...shared, port: port2 };
      const worker = new Worker(url, {
        ...{ workerData: task, transferList: [port2], name: `scan ${index}` },
      });
      // What it died of is said by the pass that misses it.
      worker.on('error', () => {});
      worker.unref();
      return worker;
    });
    this.#ports = ports;
  }

  /**
   * Digests all RAM. Returns one bit for each page that has another digest than at the pass before; the
   * next pass overwrites it. Throws `E_SCAN_WORKER`, after which these threads are of no more use.
   */
  pass(): Uint32Array {
    const words = this.#words;
    this.#changed.fill(0);
    Atomics.store(words, control.nextRegion, 0);
    Atomics.store(words, control.done, 0);
    Atomics.add(words, control.pass, 1);
    Atomics.notify(words, control.pass);
    this.#wait();
    if (Atomics.load(words, control.failed) !== 0) throw died(this.#said());
    return this.#changed;
  }

  close(): void {
    for (const port of this.#ports) port.close();
    for (const worker of this.#workers) worker.terminate().catch(() => {});
  }

  /**
   * A thread that hangs, or ended without a word, makes no progress. Looks are counted, and not time:
   * where this process stood still, its threads did, too.
   */
  #wait(): void {
    const words = this.#words;
    let silentLooks = 0;
    let seen = Atomics.load(words, control.progress);
    for (;;) {
      const done = Atomics.load(words, control.done);
      if (done === this.#workers.length || Atomics.load(words, control.failed) !== 0) return;
      if (Atomics.wait(words, control.done, done, bounds.encoderLookMs) !== 'timed-out') continue;
      const progress = Atomics.load(words, control.progress);
      silentLooks = progress === seen ? silentLooks + 1 : 0;
      seen = progress;
      if (silentLooks > bounds.encoderSilentLooksMax) {
        throw died(`it has said nothing for ${silentLooks} looks and is given up`);
      }
    }
  }

  #said(): string {
    for (const port of this.#ports) {
      const received = receiveMessageOnPort(port) as { message: string } | undefined;
      if (received !== undefined) return received.message;
    }
    return 'it did not say why';
  }
}

function died(why: string): UnderstudyError {
  return new UnderstudyError(
    'E_SCAN_WORKER',
    `a thread that digests the guest's RAM died: ${why}`,
    {
      hint: 'The backup is synchronised again. If it comes back, report it; see free memory first.',
    },
  );
}
