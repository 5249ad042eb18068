import type { MessageHeaders, Transport } from '../../../shared/transport/transport.ts';
import { timedOut } from '../../../shared/transport/transport-error.ts';

export type Fate =
  | 'pass'
  /** It takes effect; the asker hears nothing. */
  | 'lose-answer'
  /** It never gets there. */
  | 'lose-request'
  /** It is held under way until `release`; the asker gives up. */
  | 'hold';

/** A connection whose requests fare as the test says; `fate` sees each one's subject. */
export class LossyTransport implements Transport {
  readonly #inner: Transport;
  readonly #fate: (subject: string) => Fate;
  readonly #held: (() => Promise<unknown>)[] = [];
  /** Subjects asked, in order. */
  readonly asked: string[] = [];

  constructor(inner: Transport, fate: (subject: string) => Fate) {
    this.#inner = inner;
    this.#fate = fate;
  }

  async request(
    subject: string,
    payload: Uint8Array,
    timeoutMs: number,
    headers?: MessageHeaders,
  ): Promise<Uint8Array> {
    this.asked.push(subject);
    const ask = () => this.#inner.request(subject, payload, timeoutMs, headers);
    switch (this.#fate(subject)) {
      case 'pass':
        return await ask();
      case 'lose-answer':
        await ask();
        break;
      case 'hold':
        this.#held.push(ask);
        break;
      case 'lose-request':
        break;
    }
    throw timedOut(subject, timeoutMs);
  }

  /** What was held takes effect now, in order. */
  async release(): Promise<void> {
    for (const ask of this.#held.splice(0)) await ask();
  }

  get payloadBytesMax(): number {
    return this.#inner.payloadBytesMax;
  }

  get connected(): boolean {
    return this.#inner.connected;
  }

  readonly publish: Transport['publish'] = (...all) => this.#inner.publish(...all);
  readonly subscribe: Transport['subscribe'] = (...all) => this.#inner.subscribe(...all);
  readonly flush: Transport['flush'] = () => this.#inner.flush();
  readonly onStatus: Transport['onStatus'] = (listener) => this.#inner.onStatus(listener);
  readonly close: Transport['close'] = () => this.#inner.close();
}
