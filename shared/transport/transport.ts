/**
 * What Understudy needs of a message bus. `nats.ts` is the real one, `memory-bus.ts` the one for
 * tests and simulation. Messages are delivered at most once and may be lost on a disconnect;
 * everything above assumes no more than that.
 */
export interface Transport {
  /** Largest payload that the server takes, headers included. */
  readonly payloadBytesMax: number;
  readonly connected: boolean;
  /**
   * Sends at most once. Returns false, without sending, while disconnected: a publish into a
   * disconnected client would be lost without a word. `payload` may be reused after the call.
   */
  publish(subject: string, payload: Uint8Array): boolean;
  /** `onMessage` gets a view that is valid during the call only, and a way to answer. */
  subscribe(subject: string, onMessage: OnMessage): Subscription;
  /**
   * One request, one answer. Throws `E_TRANSPORT_TIMEOUT`, `E_TRANSPORT_NO_RESPONDER` or
   * `E_TRANSPORT_DISCONNECTED`; after each of them the request may still have taken effect.
   */
  request(
    subject: string,
    payload: Uint8Array,
    timeoutMs: number,
    headers?: MessageHeaders,
  ): Promise<Uint8Array>;
  /** Resolves when everything published so far has reached the server. */
  flush(): Promise<void>;
  onStatus(listener: (connected: boolean) => void): () => void;
  close(): Promise<void>;
}

/** Names are sent as they are written; JetStream reads its conditions from them. */
export type MessageHeaders = Readonly<Record<string, string>>;

export type OnMessage = (payload: Uint8Array, reply: (answer: Uint8Array) => void) => void;

export interface Subscription {
  unsubscribe(): void;
}
