/** The NATS client as a `Transport`. The only file that imports `nats`. */

import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type ConnectionOptions,
  connect,
  credsAuthenticator,
  errors,
  type Msg,
  type MsgHdrs,
  type NatsConnection,
  headers as noHeaders,
  type TlsOptions,
} from 'nats';
import { bounds } from '../bounds.ts';
import { systemCode, UnderstudyError } from '../errors.ts';
import type { MessageHeaders, OnMessage, Subscription, Transport } from './transport.ts';
import { noResponder, notConnected, payloadTooLarge, timedOut } from './transport-error.ts';

/** How to reach NATS. Plain data: it can be sent to a worker. */
export interface NatsSettings {
  /** `nats://host:port` or `tls://host:port`. */
  readonly servers: readonly string[];
  /** What the server shows this connection as. */
  readonly name: string;
  readonly user?: string;
  readonly password?: string;
  readonly token?: string;
  /** A NATS credentials file (JWT and seed). */
  readonly credentialsFile?: string;
  readonly tls?: {
    readonly caFile?: string;
    readonly certFile?: string;
    readonly keyFile?: string;
  };
}

export interface NatsConnectOptions {
  /** How long the first connection is tried; `null`: for ever, with warnings. */
  readonly deadlineMs?: number | null;
  /** What the server or the client complain about later: `E_NATS_…`. Never throws. */
  readonly onWarning?: (warning: UnderstudyError) => void;
  /** Ends the wait for the first connection. */
  readonly signal?: AbortSignal;
}

/**
 * Connects and stays connected: later disconnects are mended for ever. Throws
 * `E_NATS_UNREACHABLE` after the deadline; at once `E_NATS_AUTH`, `E_NATS_PAYLOAD_LIMIT` and
 * `E_NATS_SETTINGS` (a file that can't be read).
 */
export async function connectNats(
  settings: NatsSettings,
  options: NatsConnectOptions = {},
): Promise<Transport> {
  const connection = await firstConnection(settings, await clientOptions(settings), options);
  const payloadBytesMax = connection.info?.max_payload ?? 0;
  if (payloadBytesMax < bounds.payloadBytesMin) {
    await connection.close();
    throw payloadLimit(payloadBytesMax);
  }
  return new NatsTransport(connection, options.onWarning ?? (() => {}));
}

class NatsTransport implements Transport {
  readonly #connection: NatsConnection;
  readonly #warn: (warning: UnderstudyError) => void;
  readonly #statusListeners = new Set<(connected: boolean) => void>();
  readonly #watching: Promise<void>;
  #connected = true;

  constructor(connection: NatsConnection, warn: (warning: UnderstudyError) => void) {
    this.#connection = connection;
    this.#warn = warn;
    this.#watching = this.#watchStatus();
  }

  get payloadBytesMax(): number {
    const allowed = this.#connection.info?.max_payload ?? bounds.payloadBytesMin;
    return Math.min(allowed, bounds.payloadBytesMax);
  }

  get connected(): boolean {
    return this.#connected && !this.#connection.isClosed();
  }

  publish(subject: string, payload: Uint8Array): boolean {
    if (!this.connected) return false;
    this.#checkSize(subject, payload);
    if (payload.byteLength <= bounds.publishCopyBytesMax) {
      // Not `slice`: a Buffer's gives a view.
      this.#connection.publish(subject, new Uint8Array(payload));
      return true;
    }
    this.#connection.publish(subject, payload);
    // The client copies what is pending only when it writes: a flush makes it do so now, so that
    // the payload is the caller's again. A flush fails only by a disconnect, told by the status.
    this.#connection.flush().catch(() => {});
    return true;
  }

  subscribe(subject: string, onMessage: OnMessage): Subscription {
    const subscription = this.#connection.subscribe(subject, {
      callback: (error, message) => {
        // Errors are told by the status too. One that is thrown here would end the client's
        // reader for good and in silence, so it is thrown where it ends the process.
        if (error !== null) return;
        try {
          onMessage(message.data, this.#replyTo(message));
        } catch (thrown) {
          process.nextTick(() => {
            throw thrown;
          });
        }
      },
    });
    return {
      unsubscribe: () => {
        if (!this.#connection.isClosed() && !subscription.isClosed()) subscription.unsubscribe();
      },
    };
  }

  async request(
    subject: string,
    payload: Uint8Array,
    timeoutMs: number,
    headers?: MessageHeaders,
  ): Promise<Uint8Array> {
    if (!this.connected) throw notConnected(subject);
    this.#checkSize(subject, payload);
    try {
      const own = headers === undefined ? {} : { headers: clientHeaders(headers) };
      const options = { timeout: timeoutMs, ...own };
      const answer = await this.#connection.request(subject, new Uint8Array(payload), options);
      return answer.data;
    } catch (error) {
      if (error instanceof errors.TimeoutError) throw timedOut(subject, timeoutMs);
      if (error instanceof errors.NoRespondersError) throw noResponder(subject);
      if (error instanceof errors.RequestError) {
        throw error.isNoResponders() ? noResponder(subject) : notConnected(subject);
      }
      if (error instanceof errors.PermissionViolationError) throw warningOf(error);
      if (error instanceof errors.ClosedConnectionError) throw notConnected(subject);
      throw error;
    }
  }

  async flush(): Promise<void> {
    if (!this.connected) throw notConnected('flush');
    try {
      await this.#connection.flush();
    } catch {
      throw notConnected('flush');
    }
  }

  onStatus(listener: (connected: boolean) => void): () => void {
    this.#statusListeners.add(listener);
    return () => this.#statusListeners.delete(listener);
  }

  async close(): Promise<void> {
    this.#statusListeners.clear();
    await this.#connection.close();
    await this.#watching;
  }

  #replyTo(message: Msg): (answer: Uint8Array) => void {
    // Not the message: it would keep its whole payload in memory until the answer.
    const subject = message.reply;
    return (answer) => {
      if (subject !== undefined && subject !== '') this.publish(subject, answer);
    };
  }

  #checkSize(subject: string, payload: Uint8Array): void {
    const { payloadBytesMax } = this;
    if (payload.byteLength > payloadBytesMax) {
      throw payloadTooLarge(subject, payload.byteLength, payloadBytesMax);
    }
  }

  async #watchStatus(): Promise<void> {
    for await (const status of this.#connection.status()) {
      switch (status.type) {
        case 'disconnect':
        case 'close':
          this.#setConnected(false);
          break;
        case 'reconnect':
          this.#setConnected(true);
          break;
        case 'error':
          this.#warn(warningOf(status.error));
          break;
        default:
      }
    }
  }

  #setConnected(connected: boolean): void {
    if (this.#connected === connected) return;
    this.#connected = connected;
    for (const listener of [...this.#statusListeners]) listener(connected);
  }
}

function clientHeaders(fields: MessageHeaders): MsgHdrs {
  const headers = noHeaders();
  for (const [name, value] of Object.entries(fields)) headers.set(name, value);
  return headers;
}

async function firstConnection(
  settings: NatsSettings,
  client: ConnectionOptions,
  { deadlineMs = bounds.connectDeadlineMs, onWarning, signal }: NatsConnectOptions,
): Promise<NatsConnection> {
  const startedAtMs = performance.now();
  let warnedAtMs = startedAtMs;
  for (let waitMs: number = bounds.reconnectWaitMsMin; ; waitMs = Math.min(waitMs * 2, waitMsMax)) {
    signal?.throwIfAborted();
    let failure: unknown;
    try {
      return await connect(client);
    } catch (error) {
      failure = error;
    }
    if (failure instanceof errors.AuthorizationError) throw warningOf(failure);
    const nowMs = performance.now();
    if (deadlineMs !== null && nowMs - startedAtMs + waitMs > deadlineMs) {
      throw unreachable(settings, failure);
    }
    if (deadlineMs === null && nowMs - warnedAtMs >= bounds.connectWarningMs) {
      warnedAtMs = nowMs;
      onWarning?.(unreachable(settings, failure));
    }
    await sleep(waitMs, undefined, signal === undefined ? {} : { signal });
  }
}

const waitMsMax = bounds.reconnectWaitMsMax;

async function clientOptions(settings: NatsSettings): Promise<ConnectionOptions> {
  const { servers, name, user, password, token, tls, credentialsFile } = settings;
  const options: ConnectionOptions = {
    servers: [...servers],
    name,
    reconnect: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: bounds.reconnectWaitMsMin,
    reconnectJitter: bounds.reconnectWaitMsMax - bounds.reconnectWaitMsMin,
    reconnectJitterTLS: bounds.reconnectWaitMsMax - bounds.reconnectWaitMsMin,
    pingInterval: bounds.pingIntervalMs,
    maxPingOut: bounds.pingsOutMax,
    timeout: bounds.connectAttemptMs,
    // A server that is being set up may refuse for a while; giving up is the operator's choice.
    ignoreAuthErrorAbort: true,
    noAsyncTraces: true,
  };
  if (user !== undefined) options.user = user;
  if (password !== undefined) options.pass = password;
  if (token !== undefined) options.token = token;
  if (tls !== undefined) options.tls = (await checkedTls(tls)) satisfies TlsOptions;
  if (credentialsFile !== undefined) {
    options.authenticator = credsAuthenticator(await readSetting(credentialsFile));
  }
  return options;
}

async function checkedTls(tls: NonNullable<NatsSettings['tls']>): Promise<TlsOptions> {
  for (const file of Object.values(tls)) await readSetting(file);
  return { ...tls };
}

async function readSetting(file: string): Promise<Uint8Array> {
  try {
    return await readFile(file);
  } catch (error) {
    const message = `cannot read ${file}: ${systemCode(error) ?? String(error)}`;
    throw new UnderstudyError('E_NATS_SETTINGS', message, {
      hint: 'Check the path and the rights of the file that the nats section names.',
      fields: { file },
      cause: error,
    });
  }
}

function unreachable({ servers }: NatsSettings, cause: unknown): UnderstudyError {
  const why = cause instanceof Error ? cause.message : String(cause);
  const message = `no NATS server answers at ${servers.join(', ')}: ${why}`;
  return new UnderstudyError('E_NATS_UNREACHABLE', message, {
    hint: 'Start nats-server there, or correct nats.servers; a firewall may be in the way.',
    fields: { servers: servers.join(',') },
    cause,
  });
}

function payloadLimit(payloadBytesMax: number): UnderstudyError {
  const message = `the NATS server takes ${payloadBytesMax} bytes a message, which is too few`;
  return new UnderstudyError('E_NATS_PAYLOAD_LIMIT', message, {
    hint: 'Set max_payload of the server to 2MB; at least 128 KiB are needed.',
    fields: { payloadBytesMax, payloadBytesMin: bounds.payloadBytesMin },
  });
}

/** A complaint of the server or the client, with a code and a hint. */
function warningOf(error: Error): UnderstudyError {
  const [code, hint] = classify(error);
  return new UnderstudyError(code, `NATS: ${error.message}`, { hint, cause: error });
}

function classify(error: Error): readonly [code: string, hint: string] {
  if (error instanceof errors.PermissionViolationError) {
    return ['E_NATS_PERMISSION', 'Allow this user to publish and subscribe to understudy.>.'];
  }
  const isAuth =
    error instanceof errors.AuthorizationError ||
    error instanceof errors.UserAuthenticationExpiredError;
  if (isAuth) return ['E_NATS_AUTH', 'Check user, password, token or credentials in nats.'];
  if (/slow consumer/i.test(error.message)) {
    return ['E_NATS_SLOW_CONSUMER', 'This side reads too slowly; raise max_pending of the server.'];
  }
  if (/maximum payload/i.test(error.message)) {
    return ['E_NATS_PAYLOAD', "Raise max_payload of the server, on all of a cluster's servers."];
  }
  return ['E_NATS_SERVER', "See the server's log."];
}
