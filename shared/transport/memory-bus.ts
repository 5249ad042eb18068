import type { Clock } from '../clock.ts';
import type { MessageHeaders, OnMessage, Subscription, Transport } from './transport.ts';
import { noResponder, notConnected, payloadTooLarge, timedOut } from './transport-error.ts';

export interface MemoryBusOptions {
  /** All chance comes from here: the same seed and the same calls give the same run. */
  readonly seed: number;
  /** Shares of messages, 0 to 1, that are lost or delivered twice. */
  readonly lossRate?: number;
  readonly duplicateRate?: number;
  /** Each delivery takes between these; different delays reorder messages. */
  readonly delayMsMin?: number;
  readonly delayMsMax?: number;
  readonly payloadBytesMax?: number;
  /** `virtual`: time passes by `advance` alone. `real`: by itself. */
  readonly time: 'virtual' | 'real';
}

/** A message bus inside the process with the faults that a real one can have. */
export class MemoryBus {
  readonly payloadBytesMax: number;
  /** The bus's own time: also for those who speak over it. */
  readonly clock: Clock = { nowMs: () => this.#nowMs() };
  readonly #options: MemoryBusOptions;
  readonly #endpoints = new Set<MemoryTransport>();
  readonly #later: Later[] = [];
  readonly #random: () => number;
  #virtualMs = 0;
  #order = 0;

  constructor(options: MemoryBusOptions) {
    this.#options = options;
    this.#random = mulberry32(options.seed);
    this.payloadBytesMax = options.payloadBytesMax ?? 2 * 1024 * 1024;
  }

  connect(): MemoryTransport {
    const endpoint = new MemoryTransport(this);
    this.#endpoints.add(endpoint);
    return endpoint;
  }

  leave(endpoint: MemoryTransport): void {
    this.#endpoints.delete(endpoint);
  }

  /** Lets `ms` of virtual time pass and everything happen that falls due in it. */
  advance(ms: number): void {
    if (this.#options.time === 'real') throw new Error('real time advances by itself');
    const until = this.#virtualMs + ms;
    for (let next = this.#earliest(until); next !== undefined; next = this.#earliest(until)) {
      this.#virtualMs = next.atMs;
      next.run();
    }
    this.#virtualMs = until;
  }

  /** Runs `run` after `ms` of the bus's time. */
  schedule(ms: number, run: () => void): void {
    if (this.#options.time === 'virtual') {
      this.#later.push({ atMs: this.#virtualMs + ms, order: this.#order++, run });
    } else if (ms === 0) {
      setImmediate(run);
    } else {
      setTimeout(run, ms);
    }
  }

  /** Sends copies of `payload` on their way. Returns how many listen now. */
  deliver(from: MemoryTransport, subject: string, payload: Uint8Array, replyTo: string): number {
    const { lossRate = 0, duplicateRate = 0, delayMsMin = 0, delayMsMax = 0 } = this.#options;
    const copy = new Uint8Array(payload);
    let listening = 0;
    for (const to of this.#endpoints) {
      if (!to.listensTo(subject)) continue;
      listening += 1;
      const [sending, receiving] = [from.connection, to.connection];
      const times = this.#random() < lossRate ? 0 : this.#random() < duplicateRate ? 2 : 1;
      for (let i = 0; i < times; i++) {
        const delayMs = delayMsMin + this.#random() * (delayMsMax - delayMsMin);
        this.schedule(delayMs, () => {
          // A connection that ended takes what was under way with it.
          const intact = from.connection === sending && to.connection === receiving;
          if (intact) to.receive(subject, copy, replyTo);
        });
      }
    }
    return listening;
  }

  #earliest(until: number): Later | undefined {
    let best = -1;
    for (let i = 0; i < this.#later.length; i++) {
      const each = this.#later[i]!;
      if (each.atMs > until) continue;
      const other = this.#later[best];
      const sooner =
        other === undefined ||
        each.atMs < other.atMs ||
        (each.atMs === other.atMs && each.order < other.order);
      if (sooner) best = i;
    }
    return best < 0 ? undefined : this.#later.splice(best, 1)[0];
  }

  #nowMs(): number {
    return this.#options.time === 'virtual' ? this.#virtualMs : performance.now();
  }
}

interface Later {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

/** One party's connection to the bus. */
export class MemoryTransport implements Transport {
  readonly payloadBytesMax: number;
  readonly #bus: MemoryBus;
  readonly #listeners = new Map<string, Set<OnMessage>>();
  readonly #statusListeners = new Set<(connected: boolean) => void>();
  #connected = true;
  #connection = 0;
  #inboxes = 0;

  constructor(bus: MemoryBus) {
    this.#bus = bus;
    this.payloadBytesMax = bus.payloadBytesMax;
  }

  get connected(): boolean {
    return this.#connected;
  }

  /** Counts disconnects. */
  get connection(): number {
    return this.#connection;
  }

  /** Cuts the connection off: what is under way to and from it is lost. */
  disconnect(): void {
    if (!this.#connected) return;
    this.#connected = false;
    this.#connection += 1;
    for (const listener of [...this.#statusListeners]) listener(false);
  }

  reconnect(): void {
    if (this.#connected) return;
    this.#connected = true;
    for (const listener of [...this.#statusListeners]) listener(true);
  }

  publish(subject: string, payload: Uint8Array): boolean {
    if (!this.#connected) return false;
    this.#send(subject, payload, '');
    return true;
  }

  subscribe(subject: string, onMessage: OnMessage): Subscription {
    const listeners = this.#listeners.get(subject) ?? new Set();
    this.#listeners.set(subject, listeners);
    listeners.add(onMessage);
    return { unsubscribe: () => listeners.delete(onMessage) };
  }

  async request(
    subject: string,
    payload: Uint8Array,
    timeoutMs: number,
    headers?: MessageHeaders,
  ): Promise<Uint8Array> {
    // JetStream reads headers, and this bus has none: dropping them would drop a condition.
    if (headers !== undefined) throw new Error('the memory bus carries no headers');
    if (!this.#connected) throw notConnected(subject);
    this.#inboxes += 1;
    const inbox = `_INBOX.${this.#inboxes}.${Math.trunc(this.#bus.clock.nowMs() * 1e6)}`;
    return await new Promise<Uint8Array>((resolve, reject) => {
      const subscription = this.subscribe(inbox, (answer) => {
        subscription.unsubscribe();
        resolve(new Uint8Array(answer));
      });
      const fail = (error: Error) => {
        subscription.unsubscribe();
        reject(error);
      };
      this.#bus.schedule(timeoutMs, () => fail(timedOut(subject, timeoutMs)));
      if (this.#send(subject, payload, inbox) === 0) fail(noResponder(subject));
    });
  }

  async flush(): Promise<void> {
    if (!this.#connected) throw notConnected('flush');
  }

  onStatus(listener: (connected: boolean) => void): () => void {
    this.#statusListeners.add(listener);
    return () => this.#statusListeners.delete(listener);
  }

  async close(): Promise<void> {
    this.disconnect();
    this.#bus.leave(this);
  }

  /** For the bus: a message has arrived. */
  receive(subject: string, payload: Uint8Array, replyTo: string): void {
    const reply = (answer: Uint8Array) => {
      if (replyTo !== '') this.publish(replyTo, answer);
    };
    for (const onMessage of [...(this.#listeners.get(subject) ?? [])]) onMessage(payload, reply);
  }

  /** For the bus: would a message on `subject` be heard here? */
  listensTo(subject: string): boolean {
    return this.#connected && (this.#listeners.get(subject)?.size ?? 0) > 0;
  }

  #send(subject: string, payload: Uint8Array, replyTo: string): number {
    if (payload.byteLength > this.payloadBytesMax) {
      throw payloadTooLarge(subject, payload.byteLength, this.payloadBytesMax);
    }
    return this.#bus.deliver(this, subject, payload, replyTo);
  }
}

/** A small seeded generator (Tommy Ettinger's mulberry32): numbers from 0 up to 1. */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
