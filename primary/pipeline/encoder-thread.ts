import { Worker } from 'node:worker_threads';
import { UnderstudyError } from '../../shared/errors.ts';
import type {
  EncoderAnswer,
  EncoderQuestion,
  EncoderTask,
  FromEncoder,
  ToEncoder,
} from './encoder-message.ts';

export interface EncoderThreadListener {
  /** A chunk is in `output`, which is the caller's until it posts `free`. */
  onChunk(output: number, bytes: number): void;
  onEncoded(): void;
  /** The thread has ended although nobody ended it: `E_ENCODER_WORKER`. Called once. */
  onDeath(error: UnderstudyError): void;
}

/** The thread of one shard's encoder, from the outside. */
export class EncoderThread {
  readonly #worker: Worker;
  readonly #listener: EncoderThreadListener;
  readonly #ready: Promise<void>;
  #onReady = () => {};
  #asked: Asked | undefined;
  #over: Error | undefined;

  constructor(task: EncoderTask, listener: EncoderThreadListener) {
    this.#listener = listener;
    const url = new URL('./encoder-worker.js', import.meta.url);
    this.#worker = new Worker(url, { workerData: task, name: `encoder ${task.shard.index}` });
    this.#ready = new Promise((resolve, reject) => {
      this.#onReady = resolve;
      this.#asked = { resolve: () => {}, reject };
    });
    this.#worker.on('message', (message: FromEncoder) => this.#hear(message));
    this.#worker.on('error', (error) => this.#die(error.message, error));
    this.#worker.on('messageerror', (error) => this.#die(error.message, error));
    this.#worker.on('exit', (code) => this.#die(`it ended with status ${code}`));
  }

  /** Throws `E_ENCODER_WORKER`, or why it was ended. */
  async ready(): Promise<void> {
    await this.#ready;
  }

  post(message: ToEncoder): void {
    this.#worker.postMessage(message);
  }

  /** Throws `E_ENCODER_WORKER`, or why the thread was ended. */
  async ask(question: EncoderQuestion): Promise<EncoderAnswer> {
    if (this.#over !== undefined) throw this.#over;
    if (this.#asked !== undefined) throw new Error('an encoder is asked two things at once');
    return await new Promise<EncoderAnswer>((resolve, reject) => {
      this.#asked = { resolve, reject };
      this.post(question);
    });
  }

  /** Resolves when the thread is no more, whatever it was doing. */
  async end(why: Error): Promise<void> {
    this.#settle(why);
    await this.#worker.terminate();
  }

  #hear(message: FromEncoder): void {
    if (this.#over !== undefined) return;
    switch (message.kind) {
      case 'ready':
        this.#asked = undefined;
        this.#onReady();
        return;
      case 'chunk':
        this.#listener.onChunk(message.output, message.bytes);
        return;
      case 'encoded':
        this.#listener.onEncoded();
        return;
      case 'answer': {
        const asked = this.#asked;
        this.#asked = undefined;
        asked?.resolve(message.answer);
      }
    }
  }

  #die(why: string, cause?: Error): void {
    if (this.#over !== undefined) return;
    const message = `a thread that encodes the guest's pages died: ${why}`;
    const error = new UnderstudyError('E_ENCODER_WORKER', message, {
      hint: 'The backup is synchronised again. If it comes back, report it; see free memory first.',
      ...(cause === undefined ? {} : { cause }),
    });
    this.#settle(error);
    this.#listener.onDeath(error);
  }

  #settle(why: Error): void {
    if (this.#over !== undefined) return;
    this.#over = why;
    this.#asked?.reject(why);
    this.#asked = undefined;
  }
}

interface Asked {
  readonly resolve: (answer: EncoderAnswer) => void;
  readonly reject: (why: Error) => void;
}
