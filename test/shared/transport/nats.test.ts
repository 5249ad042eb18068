import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { bounds, chunkBytesFor } from '../../../shared/bounds.ts';
import { EpochDigest } from '../../../shared/codec/digest.ts';
import { isUnderstudyError, type UnderstudyError } from '../../../shared/errors.ts';
import { epoch, term } from '../../../shared/ids.ts';
import {
  EmbeddedServer,
  type EmbeddedServerOptions,
} from '../../../shared/transport/embedded-server.ts';
import { connectNats, type NatsConnectOptions } from '../../../shared/transport/nats-transport.ts';
import { StreamSender } from '../../../shared/transport/stream-sender.ts';
import type { Transport } from '../../../shared/transport/transport.ts';

const mib = 1024 * 1024;
const consumerFile = fileURLToPath(new URL('./stream-consumer-process.js', import.meta.url));

async function startServer(t: ExecutionContext, options: EmbeddedServerOptions = {}) {
  const server = await EmbeddedServer.start({ jetStream: false, ...options });
  t.teardown(() => server.stop());
  return server;
}

async function join(t: ExecutionContext, url: string, options: NatsConnectOptions = {}) {
  const transport = await connectNats({ servers: [url], name: 'test' }, options);
  t.teardown(() => transport.close());
  return transport;
}

async function until(holds: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 120_000;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`not in time: ${what}`);
    await sleep(5);
  }
}

class Consumer {
  readonly child: ChildProcess;
  readonly #lines: string[] = [];

  constructor(t: ExecutionContext, url: string, handleMs = 0) {
    this.child = spawn(process.execPath, [consumerFile, url, String(handleMs)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    t.teardown(() => this.child.kill('SIGKILL'));
    this.child.stdout?.on('data', (text) => this.#lines.push(...String(text).trim().split('\n')));
  }

  async ready(): Promise<this> {
    await until(() => this.#lines.length > 0, 'the consumer');
    return this;
  }

  /** Ends it and returns what it got. */
  async result(): Promise<Record<string, unknown>> {
    this.child.stdin?.end();
    await once(this.child, 'close');
    return JSON.parse(this.#lines[1] ?? '{}');
  }
}

function startSender(t: ExecutionContext, transport: Transport): StreamSender {
  const sender = new StreamSender({
    transport,
    dataSubject: 'understudy.test.data',
    creditSubject: 'understudy.test.credit',
    guest: 1n,
    session: 2n,
    term: term(1),
    onBroken: (error) => t.fail(String(error)),
  });
  t.teardown(() => sender.close());
  return sender;
}

/** Bodies of `bytes` that differ from each other. */
function* bodies(count: number, bytes: number): Generator<Uint8Array> {
  const body = new Uint8Array(bytes);
  for (let i = 0; i < count; i++) {
    body.fill(i & 0xff, (i * 977) % bytes);
    yield body;
  }
}

test('a large message lies in memory of about its size: room for it was taken once', async (t) => {
  const server = await startServer(t);
  const [from, to] = [await join(t, server.url), await join(t, server.url)];
  const roomBytes: number[] = [];
  const subscription = to.subscribe('large', (body) => roomBytes.push(body.buffer.byteLength));
  await to.flush();
  for (let i = 0; i < 4; i++) from.publish('large', new Uint8Array(mib));
  await until(() => roomBytes.length === 4, 'the messages');
  subscription.unsubscribe();
  // The client of itself would take 1.9 MiB.
  for (const bytes of roomBytes) t.true(bytes >= mib && bytes <= 1.25 * mib, String(bytes));
});

test('messages of any size up to the limit arrive as they were, and may be reused at once', async (t) => {
  const server = await startServer(t);
  const [a, b] = [await join(t, server.url), await join(t, server.url)];
  const got: Buffer[] = [];
  b.subscribe('s', (payload) => got.push(Buffer.from(payload)));
  await b.flush();
  const sizes = [0, 1, 1000, bounds.publishCopyBytesMax, bounds.publishCopyBytesMax + 1, 2 * mib];
  const payload = Buffer.alloc(2 * mib);
  for (const [i, size] of sizes.entries()) {
    payload.fill(i + 1);
    t.true(a.publish('s', payload.subarray(0, size)));
    payload.fill(0xee);
  }
  await a.flush();
  await until(() => got.length === sizes.length, 'the messages');
  for (const [i, size] of sizes.entries()) {
    t.is(got[i]?.byteLength, size);
    t.true(
      got[i]?.every((byte) => byte === i + 1),
      `message ${i} is intact`,
    );
  }
});

test("a payload over the server's limit is refused here, before the server ends the connection", async (t) => {
  const server = await startServer(t, { payloadBytesMax: mib });
  const transport = await join(t, server.url);
  t.is(transport.payloadBytesMax, mib);
  t.is(chunkBytesFor(mib), 512 * 1024);
  const error = t.throws(() => transport.publish('s', new Uint8Array(mib + 1)));
  t.true(isUnderstudyError(error, 'E_TRANSPORT_PAYLOAD'));
  t.true(transport.publish('s', new Uint8Array(mib)));
  await t.notThrowsAsync(transport.flush());
  const request = transport.request('s', new Uint8Array(mib + 1), 100);
  t.true(isUnderstudyError(await t.throwsAsync(request), 'E_TRANSPORT_PAYLOAD'));
});

test('a server that takes too little a message is refused with what to change', async (t) => {
  const server = await startServer(t, { payloadBytesMax: 64 * 1024 });
  const error = await t.throwsAsync(connectNats({ servers: [server.url], name: 'test' }));
  t.true(isUnderstudyError(error, 'E_NATS_PAYLOAD_LIMIT'));
  t.regex((error as UnderstudyError).hint, /max_payload/);
});

test('a request gets its answer, or the code of why there is none', async (t) => {
  const server = await startServer(t);
  const [a, b] = [await join(t, server.url), await join(t, server.url)];
  b.subscribe('double', (payload, reply) => {
    const answer = Uint8Array.of(payload[0]! * 2);
    setTimeout(() => reply(answer), 5);
  });
  b.subscribe('mute', () => {});
  await b.flush();
  t.deepEqual([...(await a.request('double', Uint8Array.of(4), 60_000))], [8]);
  const late = a.request('mute', Uint8Array.of(1), 50);
  t.true(isUnderstudyError(await t.throwsAsync(late), 'E_TRANSPORT_TIMEOUT'));
  const nobody = a.request('nobody', Uint8Array.of(1), 60_000);
  t.true(isUnderstudyError(await t.throwsAsync(nobody), 'E_TRANSPORT_NO_RESPONDER'));
});

test('a NATS that is away at the start is told after the deadline, with its address', async (t) => {
  const server = await startServer(t);
  await server.stop();
  const settings = { servers: [server.url], name: 'test' };
  const error = await t.throwsAsync(connectNats(settings, { deadlineMs: 300 }));
  t.true(isUnderstudyError(error, 'E_NATS_UNREACHABLE'), String(error));
  t.true(error?.message.includes(server.url));
});

test('a NATS that comes late is waited for, for as long as asked', async (t) => {
  const first = await startServer(t);
  await first.stop();
  const settings = { servers: [first.url], name: 'test' };
  const connecting = connectNats(settings, { deadlineMs: null });
  await sleep(300);
  await startServer(t, { port: first.port });
  const transport = await connecting;
  t.teardown(() => transport.close());
  t.true(transport.connected);
});

test('waiting for ever can be ended', async (t) => {
  const first = await startServer(t);
  await first.stop();
  const abort = new AbortController();
  const settings = { servers: [first.url], name: 'test' };
  const connecting = connectNats(settings, { deadlineMs: null, signal: abort.signal });
  setTimeout(() => abort.abort(), 100);
  await t.throwsAsync(connecting, { name: 'AbortError' });
});

test('a wrong password and a missing file are told at once', async (t) => {
  const server = await startServer(t, { extraConfig: ['authorization { token: right }'] });
  const settings = { servers: [server.url], name: 'test' };
  const wrong = connectNats({ ...settings, token: 'wrong' });
  t.true(isUnderstudyError(await t.throwsAsync(wrong), 'E_NATS_AUTH'));
  const right = await connectNats({ ...settings, token: 'right' });
  await right.close();
  const file = connectNats({ ...settings, tls: { caFile: 'no/such/file.pem' } });
  t.true(isUnderstudyError(await t.throwsAsync(file), 'E_NATS_SETTINGS'));
});

test('nothing is sent while disconnected, and the connection comes back by itself', async (t) => {
  const server = await startServer(t);
  const transport = await join(t, server.url);
  const told: boolean[] = [];
  transport.onStatus((connected) => told.push(connected));
  await server.stop();
  await until(() => told.length === 1, 'the disconnect');
  t.false(transport.connected);
  t.false(transport.publish('s', Uint8Array.of(1)));
  t.true(
    isUnderstudyError(
      await t.throwsAsync(transport.request('s', Uint8Array.of(1), 100)),
      'E_TRANSPORT_DISCONNECTED',
    ),
  );
  t.true(isUnderstudyError(await t.throwsAsync(transport.flush()), 'E_TRANSPORT_DISCONNECTED'));
  await startServer(t, { port: server.port });
  await until(() => told.length === 2, 'the reconnect');
  t.deepEqual(told, [false, true]);
  t.true(transport.publish('s', Uint8Array.of(1)));
  await transport.flush();
});

test('a subject that this user may not use is told as a warning', async (t) => {
  const user = 'user: u, password: p, permissions: { publish: { deny: "secret.>" } }';
  const extraConfig = [`authorization { users: [{ ${user} }] }`, 'no_auth_user: u'];
  const server = await startServer(t, { extraConfig });
  const warnings: string[] = [];
  const transport = await join(t, server.url, { onWarning: ({ code }) => warnings.push(code) });
  transport.publish('secret.x', Uint8Array.of(1));
  await until(() => warnings.length > 0, 'the warning');
  t.deepEqual(warnings, ['E_NATS_PERMISSION']);
});

test('a stream goes through a real server at a useful speed', async (t) => {
  const server = await startServer(t);
  const consumer = await new Consumer(t, server.url).ready();
  const sender = startSender(t, await join(t, server.url));
  const digest = new EpochDigest();
  const count = 300;
  const startedAtMs = performance.now();
  for (const body of bodies(count, mib)) {
    digest.update(body);
    await sender.send('chunk', epoch(1), [body]);
  }
  await sender.consumed();
  const seconds = (performance.now() - startedAtMs) / 1000;
  t.log(`${((count * mib) / 1e6 / seconds).toFixed(0)} MB/s`);
  const { stats } = sender;
  t.is(stats.repairs, 0);
  const result = await consumer.result();
  t.like(result, { frames: count, inOrder: true, broken: null, duplicates: 0, gaps: 0 });
  t.is(result.digest, digest.value().toString(16));
  t.true(seconds < 300, 'at least 1 MB/s even on a loaded machine');
});

test('a server killed and started again amid a stream: nothing is lost or doubled', async (t) => {
  const first = await startServer(t);
  const consumer = await new Consumer(t, first.url, 1).ready();
  const sender = startSender(t, await join(t, first.url));
  const digest = new EpochDigest();
  const count = 600;
  const sending = (async () => {
    for (const body of bodies(count, 256 * 1024)) {
      digest.update(body);
      await sender.send('chunk', epoch(1), [body]);
    }
    await sender.consumed();
  })();
  for (let round = 0; round < 2; round++) {
    await sleep(150);
    if (round === 0) process.kill(first.pid, 'SIGKILL');
    else await servers.at(-1)?.stop();
    await sleep(100);
    servers.push(await startServer(t, { port: first.port }));
  }
  await sending;
  const result = await consumer.result();
  t.like(result, { frames: count, inOrder: true, broken: null });
  t.is(result.digest, digest.value().toString(16));
});
const servers: EmbeddedServer[] = [];

test('a consumer that stands still blocks the sender; memory stays bounded; it goes on after', async (t) => {
  // It cuts a reader off that is 3 MiB behind: what was on its way to it is gone.
  const server = await startServer(t, { writeDeadlineMs: 500, pendingBytesMax: 3 * mib });
  const consumer = await new Consumer(t, server.url).ready();
  const sender = startSender(t, await join(t, server.url));
  const digest = new EpochDigest();
  await sender.send('begin', epoch(1), []);
  await sender.consumed();
  const residentBefore = process.memoryUsage.rss();
  consumer.child.kill('SIGSTOP');
  const count = 200;
  let sent = 0;
  const sending = (async () => {
    for (const body of bodies(count, mib)) {
      digest.update(body);
      await sender.send('chunk', epoch(2), [body]);
      sent += 1;
    }
    await sender.consumed();
  })();
  await until(() => sent >= 14, 'a window that is nearly full');
  await sleep(4000);
  t.true(sent <= bounds.windowBytes / mib, `${sent} frames were accepted`);
  const grownBytes = process.memoryUsage.rss() - residentBefore;
  t.true(grownBytes < 150 * mib, `grew by ${grownBytes} bytes`);
  consumer.child.kill('SIGCONT');
  await sending;
  t.true(sender.stats.repairs > 0, 'the server had cut the consumer off');
  const result = await consumer.result();
  t.like(result, { frames: 1 + count, inOrder: true, broken: null });
  t.is(result.digest, digest.value().toString(16));
});
