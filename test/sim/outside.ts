import type { Random } from '../../shared/random.ts';
import type { Checker } from './checker.ts';
import { clientsMax, decodeAnswer, type Request } from './counter-guest.ts';
import type { Timeline } from './timeline.ts';
import type { Trace } from './trace.ts';

/** The network of the clients, and the clients: each asks, repeats until answered, asks again. */
export class Outside {
  /** By host: cut off from the clients. */
  readonly cut = [false, false];
  readonly #timeline: Timeline;
  readonly #random: Random;
  readonly #checker: Checker;
  readonly #trace: Trace;
  readonly #attached: (((request: Request) => void) | undefined)[] = [undefined, undefined];
  readonly #clients: Client[];

  constructor(timeline: Timeline, random: Random, checker: Checker, trace: Trace) {
    this.#timeline = timeline;
    this.#random = random;
    this.#checker = checker;
    this.#trace = trace;
    const count = 1 + random.below(clientsMax);
    this.#clients = Array.from({ length: count }, (_, number) => ({
      number,
      asks: 0,
      waits: false,
    }));
    for (const client of this.#clients) this.#later(client);
  }

  attach(host: number, onRequest: ((request: Request) => void) | undefined): void {
    this.#attached[host] = onRequest;
  }

  /** A frame leaves a host: from here on the world knows it. */
  fromGuest(host: number, frame: Uint8Array): void {
    if (this.cut[host]) return;
    const { client: number, number: asked, value, copy, step } = decodeAnswer(frame);
    this.#trace.number(copy * 1_000_000 + step);
    this.#checker.seen(copy, step);
    this.#timeline.after(0.1 + this.#random.unit(), () => {
      const client = this.#clients[number]!;
      this.#checker.answered(name(number, asked), value, copy);
      if (!client.waits || client.asks !== asked) return;
      client.waits = false;
      this.#later(client);
    });
  }

  #later(client: Client): void {
    this.#timeline.after(5 + this.#random.unit() * 40, () => {
      client.asks += 1;
      client.waits = true;
      this.#checker.asked(name(client.number, client.asks));
      this.#ask(client);
    });
  }

  #ask(client: Client): void {
    const { number, asks } = client;
    const request = { client: number, number: asks };
    for (const host of [0, 1]) {
      this.#timeline.after(0.1 + this.#random.unit(), () => {
        if (!this.cut[host]) this.#attached[host]?.(request);
      });
    }
    this.#timeline.after(100 + this.#random.unit() * 50, () => {
      if (client.waits && client.asks === asks) this.#ask(client);
    });
  }
}

interface Client {
  readonly number: number;
  /** The number of its last request. */
  asks: number;
  waits: boolean;
}

const name = (client: number, number: number): string => `request ${client}/${number}`;
