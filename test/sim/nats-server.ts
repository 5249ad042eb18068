import type { Random } from '../../shared/random.ts';
import type {
  MessageHeaders,
  OnMessage,
  Subscription,
  Transport,
} from '../../shared/transport/transport.ts';
import { noResponder, notConnected, timedOut } from '../../shared/transport/transport-error.ts';
import { TermStream } from './term-stream.ts';
import type { Thread } from './thread.ts';
import type { Timeline } from './timeline.ts';
import type { Trace } from './trace.ts';

/** What messages meet on their way, beyond cuts. Shares of messages, from 0 to 1. */
export interface Weather {
  readonly lossRate: number;
  readonly duplicateRate: number;
  readonly corruptRate: number;
  /** Between a host and the server, one way. */
  readonly delayMsMin: number;
  readonly delayMsMax: number;
  /** Shares of messages that take up to `lateMsMax`. */
  readonly lateRate: number;
  readonly lateMsMax: number;
  /** False: a later message may overtake an earlier one, which NATS itself never lets happen. */
  readonly keepsOrder: boolean;
}

/** A host's way to the server. A cut holds messages up, as TCP does, until a connection breaks. */
export interface Way {
  upCut: boolean;
  downCut: boolean;
}

interface Packet {
  readonly subject: string;
  readonly payload: Uint8Array;
  readonly replyTo: string;
  readonly headers: MessageHeaders;
}

/** A NATS server that hosts reach by ways of their own, and the stream of terms in it. */
export class NatsServer {
  readonly terms = new TermStream();
  weather: Weather;
  readonly timeline: Timeline;
  readonly random: Random;
  readonly #trace: Trace;
  readonly #connections = new Set<Connection>();
  #named = 0;
  #up = true;

  constructor(timeline: Timeline, random: Random, weather: Weather, trace: Trace) {
    this.timeline = timeline;
    this.random = random;
    this.weather = weather;
    this.#trace = trace;
  }

  get up(): boolean {
    return this.#up;
  }

  connect(thread: Thread, way: Way): Connection {
    this.#named += 1;
    const connection = new Connection(this, thread, way, this.#named);
    this.#connections.add(connection);
    return connection;
  }

  leave(connection: Connection): void {
    this.#connections.delete(connection);
  }

  stop(): void {
    this.#up = false;
    for (const connection of this.#connections) connection.break();
  }

  start(): void {
    this.#up = true;
    for (const connection of this.#connections) connection.mend();
  }

  /** The ways of a host have changed: what was held up goes on. */
  waysChanged(way: Way): void {
    for (const connection of this.#connections) if (connection.way === way) connection.wayChanged();
  }

  /** A message has reached the server. */
  route(from: Connection, packet: Packet): void {
    const { subject, payload, replyTo, headers } = packet;
    if (this.terms.takes(subject)) {
      const answer = this.terms.answer(subject, payload, headers);
      const empty = { replyTo: '', headers: {} };
      if (answer !== undefined) from.sendDown({ ...empty, subject: replyTo, payload: answer });
      return;
    }
    const { lossRate, duplicateRate, corruptRate } = this.weather;
    let listeners = 0;
    for (const to of this.#connections) {
      if (!to.listensTo(subject)) continue;
      listeners += 1;
      if (this.random.unit() < lossRate) continue;
      const copies = this.random.unit() < duplicateRate ? 2 : 1;
      for (let i = 0; i < copies; i++) {
        const corrupt = payload.length > 0 && this.random.unit() < corruptRate;
        to.sendDown({ ...packet, payload: corrupt ? this.#damaged(payload) : payload });
      }
    }
    if (listeners === 0 && replyTo !== '') {
      from.sendDown({ subject: replyTo, payload: noResponders, replyTo: '', headers: {} });
    }
    this.#trace.number(subject.length * 65536 + payload.length);
  }

  #damaged(payload: Uint8Array): Uint8Array {
    const copy = payload.slice();
    copy[this.random.below(copy.length)]! ^= 1 << this.random.below(8);
    return copy;
  }
}

/** Told from a message by identity. */
const noResponders = new Uint8Array(0);

/** One client's connection, used by one thread. */
export class Connection implements Transport {
  readonly payloadBytesMax = 2 * 1024 * 1024;
  readonly way: Way;
  readonly #server: NatsServer;
  readonly #thread: Thread;
  readonly #listeners = new Map<string, Set<OnMessage>>();
  readonly #statusListeners = new Set<(connected: boolean) => void>();
  readonly #held: { up: Packet[]; down: Packet[] } = { up: [], down: [] };
  readonly #lastAtMs = { up: 0, down: 0 };
  /** As the server sees it; the client learns of it through its thread. */
  #isUp: boolean;
  #connected: boolean;
  #generation = 0;
  readonly #name: number;
  #inboxes = 0;
  #closed = false;

  constructor(server: NatsServer, thread: Thread, way: Way, name: number) {
    this.#name = name;
    this.#server = server;
    this.#thread = thread;
    this.way = way;
    this.#isUp = server.up && !way.upCut && !way.downCut;
    this.#connected = this.#isUp;
  }

  get connected(): boolean {
    return this.#connected;
  }

  /** Resolves once connected. */
  async ready(): Promise<void> {
    while (!this.#connected) await this.#thread.wait(20);
  }

  publish(subject: string, payload: Uint8Array): boolean {
    if (!this.#connected) return false;
    this.#sendUp({ subject, payload: payload.slice(), replyTo: '', headers: {} });
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
    headers: MessageHeaders = {},
  ): Promise<Uint8Array> {
    if (!this.#connected) throw notConnected(subject);
    this.#inboxes += 1;
    const inbox = `_INBOX.${this.#name}.${this.#inboxes}`;
    return await new Promise<Uint8Array>((resolve, reject) => {
      const subscription = this.subscribe(inbox, (answer) => {
        end();
        if (answer === noResponders) reject(noResponder(subject));
        else resolve(answer.slice());
      });
      const callOff = this.#thread.after(timeoutMs, () => {
        end();
        reject(timedOut(subject, timeoutMs));
      });
      const end = () => {
        subscription.unsubscribe();
        callOff();
      };
      this.#sendUp({ subject, payload: payload.slice(), replyTo: inbox, headers });
    });
  }

  async flush(): Promise<void> {
    if (!this.#connected) throw notConnected('flush');
    const generation = this.#generation;
    await this.#thread.wait(1);
    if (generation !== this.#generation) throw notConnected('flush');
  }

  onStatus(listener: (connected: boolean) => void): () => void {
    this.#statusListeners.add(listener);
    return () => this.#statusListeners.delete(listener);
  }

  async close(): Promise<void> {
    this.end();
  }

  /** It is no more, whether its owner said so or died. */
  end(): void {
    this.#closed = true;
    this.#connected = false;
    this.#generation += 1;
    this.#server.leave(this);
  }

  listensTo(subject: string): boolean {
    return this.#isUp && (this.#listeners.get(subject)?.size ?? 0) > 0;
  }

  sendDown(packet: Packet): void {
    if (this.#isUp) this.#travel('down', packet);
  }

  /** The connection is lost, with what is under way. */
  break(): void {
    if (!this.#isUp) return;
    this.#isUp = false;
    this.#generation += 1;
    this.#held.up.length = 0;
    this.#held.down.length = 0;
    this.#tell(this.#server.random.unit() * 5);
  }

  /** The client tries to connect again, which works where the way is open. */
  mend(): void {
    if (this.#isUp || this.#closed) return;
    const waitMs = 50 + this.#server.random.unit() * 200;
    this.#server.timeline.after(waitMs, () => {
      const { upCut, downCut } = this.way;
      if (this.#isUp || this.#closed || upCut || downCut || !this.#server.up) return;
      this.#isUp = true;
      this.#generation += 1;
      this.#tell(0);
    });
  }

  wayChanged(): void {
    const { upCut, downCut } = this.way;
    for (const [direction, isCut] of [
      ['up', upCut],
      ['down', downCut],
    ] as const) {
      if (!isCut)
        for (const packet of this.#held[direction].splice(0)) this.#travel(direction, packet);
    }
    if (!upCut && !downCut) {
      this.mend();
      return;
    }
    // The client pings every second, and gives the connection up when two pings are out.
    const generation = this.#generation;
    this.#server.timeline.after(2000 + this.#server.random.unit() * 1000, () => {
      const isCut = this.way.upCut || this.way.downCut;
      if (isCut && generation === this.#generation) this.break();
    });
  }

  #sendUp(packet: Packet): void {
    this.#travel('up', packet);
  }

  #travel(direction: 'up' | 'down', packet: Packet): void {
    const { random, timeline, weather } = this.#server;
    const { delayMsMin, delayMsMax, lateRate, lateMsMax, keepsOrder } = weather;
    const late = random.unit() < lateRate ? random.unit() * lateMsMax : 0;
    const delayMs = delayMsMin + random.unit() * (delayMsMax - delayMsMin) + late;
    let atMs = timeline.nowMs + delayMs;
    if (keepsOrder) atMs = Math.max(atMs, this.#lastAtMs[direction]);
    this.#lastAtMs[direction] = atMs;
    const generation = this.#generation;
    timeline.after(atMs - timeline.nowMs, () => {
      if (generation !== this.#generation) return;
      const isCut = direction === 'up' ? this.way.upCut : this.way.downCut;
      if (isCut) this.#held[direction].push(packet);
      else if (direction === 'up') this.#server.route(this, packet);
      else this.#thread.inputNow(() => this.#receive(packet, generation));
    });
  }

  #receive({ subject, payload, replyTo }: Packet, generation: number): void {
    if (generation !== this.#generation) return;
    const reply = (answer: Uint8Array) => {
      if (replyTo !== '') this.publish(replyTo, answer);
    };
    for (const onMessage of [...(this.#listeners.get(subject) ?? [])]) onMessage(payload, reply);
  }

  #tell(ms: number): void {
    const connected = this.#isUp;
    this.#thread.input(ms, () => {
      if (this.#closed || this.#connected === connected) return;
      this.#connected = connected;
      for (const listener of [...this.#statusListeners]) listener(connected);
    });
  }
}
