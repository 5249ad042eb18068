/** The NATS client as a `Transport`. The only file that imports `nats`. */

import { setTimeout as sleep } from 'node:timers/promises';
import {
  type ConnectionOptions,
  connect,
  credsAuthenticator,
  errors,
  type Msg,
  type MsgHdrs,
  type NatsConnection,
  nkeyAuthenticator,
  nkeys,
  headers as noHeaders,
  type TlsOptions,
} from 'nats';
import { bounds } from '../bounds.ts';
import { isUnderstudyError, type UnderstudyError } from '../errors.ts';
import { badSeed, natsWarning, payloadLimit, tlsFailure, unreachable } from './nats-error.ts';
import { spareMemory } from './nats-memory.ts';
import { checkTlsFiles, identityCheck, probeTls, readSetting, type TlsFiles } from './nats-tls.ts';
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
  /** `SU…`; the server knows its public half. */
  readonly nkeySeed?: string;
  /** A NATS credentials file (JWT and seed). */
  readonly credentialsFile?: string;
  /** Where answers go: below it this user may subscribe. Default: `_INBOX`. */
  readonly inboxPrefix?: string;
  /** With it no word is said before the connection is encrypted; without, the server decides. */
  readonly tls?: TlsFiles;
  /** Never moves to a server of the cluster that is not listed: it may be on another host. */
  readonly listedServersOnly?: boolean;
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
 * `E_NATS_UNREACHABLE` and `E_NATS_TLS` after the deadline (the latter is a warning at once); at
 * once `E_NATS_AUTH`, `E_NATS_PAYLOAD_LIMIT`, `E_NATS_CERTIFICATE` (our own) and
 * `E_NATS_SETTINGS` (a file that can't be read).
 */
export async function connectNats(
  settings: NatsSettings,
  options: NatsConnectOptions = {},
): Promise<Transport> {
  const endsSoon = settings.tls && (await checkTlsFiles(settings.tls));
  if (endsSoon !== undefined) options.onWarning?.(endsSoon);
  const client = await clientOptions(settings);
  const connection = await firstConnection(settings, client, options);
  spareMemory(connection);
  const payloadBytesMax = connection.info?.max_payload ?? 0;
  if (payloadBytesMax < bounds.payloadBytesMin) {
    await connection.close();
    throw payloadLimit(payloadBytesMax);
  }
  const diagnose = () => diagnosis(settings, client);
  return new NatsTransport(connection, options.onWarning ?? (() => {}), diagnose);
}

class NatsTransport implements Transport {
  readonly #connection: NatsConnection;
  readonly #warn: (warning: UnderstudyError) => void;
  readonly #statusListeners = new Set<(connected: boolean) => void>();
  readonly #watching: Promise<void>;
  readonly #diagnose: () => Promise<UnderstudyError | undefined>;
  #connected = true;
  #diagnosisTimer: NodeJS.Timeout | undefined;
  /** Codes that were told since the connection was lost. */
  readonly #told = new Set<string>();

  constructor(
    connection: NatsConnection,
    warn: (warning: UnderstudyError) => void,
    diagnose: () => Promise<UnderstudyError | undefined>,
  ) {
    this.#connection = connection;
    this.#warn = warn;
    this.#diagnose = diagnose;
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
      if (error instanceof errors.PermissionViolationError) throw natsWarning(error);
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
    clearTimeout(this.#diagnosisTimer);
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
          this.#warn(natsWarning(status.error));
          break;
        default:
      }
    }
  }

  #setConnected(connected: boolean): void {
    if (this.#connected === connected) return;
    this.#connected = connected;
    clearTimeout(this.#diagnosisTimer);
    this.#told.clear();
    if (!connected) this.#diagnoseLater();
    for (const listener of [...this.#statusListeners]) listener(connected);
  }

  /** The client goes on trying and keeps its reasons to itself: each is told once. */
  #diagnoseLater(): void {
    this.#diagnosisTimer = setTimeout(async () => {
      if (this.connected || this.#connection.isClosed()) return;
      const failure = await this.#diagnose();
      if (this.connected || this.#connection.isClosed()) return;
      if (failure !== undefined && !this.#told.has(failure.code)) {
        this.#told.add(failure.code);
        this.#warn(failure);
      }
      this.#diagnoseLater();
    }, bounds.connectWarningMs).unref();
  }
}

/** A fresh key of a user: what the agent keeps, and what the server is told. */
export function newNkey(): { readonly seed: string; readonly publicKey: string } {
  const pair = nkeys.createUser();
  return { seed: new TextDecoder().decode(pair.getSeed()), publicKey: pair.getPublicKey() };
}

/** Throws `E_NATS_SETTINGS` where `seed` is none. */
export function publicNkey(seed: string): string {
  try {
    return nkeys.fromSeed(new TextEncoder().encode(seed)).getPublicKey();
  } catch (cause) {
    throw badSeed(cause);
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
  let isTlsTold = false;
  for (let waitMs: number = bounds.reconnectWaitMsMin; ; waitMs = Math.min(waitMs * 2, waitMsMax)) {
    signal?.throwIfAborted();
    let failure: UnderstudyError;
    try {
      return await connect(client);
    } catch (error) {
      failure = await explained(settings, error);
    }
    if (failure.code === 'E_NATS_AUTH') throw failure;
    const nowMs = performance.now();
    if (deadlineMs !== null && nowMs - startedAtMs + waitMs > deadlineMs) throw failure;
    const isDue = deadlineMs === null && nowMs - warnedAtMs >= bounds.connectWarningMs;
    // It mends itself only where a server of several, or a clock, is wrong: said at once.
    if (isDue || (failure.code === 'E_NATS_TLS' && !isTlsTold)) {
      warnedAtMs = nowMs;
      isTlsTold = true;
      onWarning?.(failure);
    }
    await sleep(waitMs, undefined, signal === undefined ? {} : { signal });
  }
}

/** Why a connection could not be made. */
async function explained(settings: NatsSettings, failure: unknown): Promise<UnderstudyError> {
  const { servers, tls } = settings;
  if (failure instanceof errors.AuthorizationError) return natsWarning(failure);
  const showsCertificate = tls?.certFile !== undefined;
  const known = tlsFailure(servers, failure, showsCertificate);
  if (known !== undefined || tls === undefined) return known ?? unreachable(servers, failure);
  for (const server of servers) {
    const refusal = tlsFailure([server], await probeTls(server, tls), showsCertificate);
    if (refusal !== undefined) return refusal;
  }
  return unreachable(servers, failure);
}

/** One attempt beside a connection that does not come back; undefined where it succeeds. */
async function diagnosis(
  settings: NatsSettings,
  client: ConnectionOptions,
): Promise<UnderstudyError | undefined> {
  try {
    if (settings.tls !== undefined) await checkTlsFiles(settings.tls);
    await (await connect({ ...client, reconnect: false })).close();
    return undefined;
  } catch (error) {
    return isUnderstudyError(error) ? error : await explained(settings, error);
  }
}

const waitMsMax = bounds.reconnectWaitMsMax;

async function clientOptions(settings: NatsSettings): Promise<ConnectionOptions> {
  const { servers, name, inboxPrefix, listedServersOnly, tls } = settings;
  const { user, password, token, nkeySeed, credentialsFile } = settings;
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
  if (inboxPrefix !== undefined) options.inboxPrefix = inboxPrefix;
  if (listedServersOnly === true) options.ignoreClusterUpdates = true;
  if (tls !== undefined) {
    options.tls = { ...tls, checkServerIdentity: identityCheck(servers) } as TlsOptions;
  }
  if (nkeySeed !== undefined) {
    publicNkey(nkeySeed);
    options.authenticator = nkeyAuthenticator(new TextEncoder().encode(nkeySeed));
  }
  if (credentialsFile !== undefined) {
    options.authenticator = credsAuthenticator(await readSetting(credentialsFile));
  }
  return options;
}
