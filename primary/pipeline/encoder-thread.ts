import { Worker } from 'node:worker_threads';
import { bounds } from '../../shared/bounds.ts';
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
  /** It has pages to encode. */
  #isEncoding = false;
  /** Outputs that it may fill: with none left it waits for us. */
  #freeOutputs: number;
  /** Looks since its last word while it owed one. */
  #silentLooks = 0;

  constructor(task: EncoderTask, listener: EncoderThreadListener) {
    this.#listener = listener;
    this.#freeOutputs = task.outputCount;
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
    if (message.kind === 'encode') this.#isEncoding = true;
    if (message.kind === 'free') this.#freeOutputs += 1;
    this.#worker.postMessage(message);
  }

  /**
   * To be called each `bounds.encoderLookMs`. A thread that owes a word and has given none for too
   * many looks hangs: that is its death. Looks are counted, and not time: where this process stood
   * still, the thread did, too.
   */
  look(): void {
    const owes = this.#asked !== undefined || (this.#isEncoding && this.#freeOutputs > 0);
    this.#silentLooks = owes ? this.#silentLooks + 1 : 0;
    if (this.#silentLooks > bounds.encoderSilentLooksMax) {
      this.#die(`it has said nothing for ${this.#silentLooks} looks and is given up`);
    }
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
    this.#silentLooks = 0;
    switch (message.kind) {
      case 'ready':
        this.#asked = undefined;
        this.#onReady();
        return;
      case 'chunk':
        this.#freeOutputs -= 1;
        this.#listener.onChunk(message.output, message.bytes);
        return;
      case 'encoded':
        this.#isEncoding = false;
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
