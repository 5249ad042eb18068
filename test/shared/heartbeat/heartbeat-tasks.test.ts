import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { monotonicClock } from '../../../shared/clock.ts';
import { isUnderstudyError } from '../../../shared/errors.ts';
import { startBeacon, startWatch } from '../../../shared/heartbeat/heartbeat-tasks.ts';
import { HeartbeatThreads } from '../../../shared/heartbeat/heartbeat-threads.ts';
import { ProgressCell } from '../../../shared/heartbeat/progress-cell.ts';
import type { WatchEvent } from '../../../shared/heartbeat/watch.ts';
import { epoch, type GuestName } from '../../../shared/ids.ts';
import { EmbeddedServer } from '../../../shared/transport/embedded-server.ts';

const guest = 'test' as GuestName;
/** Wide enough for a loaded machine. */
const limits = { limitMs: 6000, wedgedMs: 120_000 };

async function setUp(t: ExecutionContext) {
  const server = await EmbeddedServer.start({ jetStream: false });
  t.teardown(() => server.stop());
  const events: WatchEvent[] = [];
  const onDeath = (error: Error) => t.fail(String(error));
  const threads = new HeartbeatThreads();
  t.teardown(() => threads.close());
  const connection = {
    ...{ threads, guest, connectDeadlineMs: null },
    nats: { servers: [server.url], name: 'test' },
  };
  const progress = new ProgressCell();
  const watch = await startWatch({
    ...connection,
    peer: 'primary',
    limits,
    onDeath,
    onEvent: (event) => events.push(event),
  });
  t.teardown(() => watch.stop());
  const beacon = await startBeacon({
    ...connection,
    role: 'primary',
    agent: 9n,
    progress,
    onDeath,
  });
  t.teardown(() => beacon.stop());
  const told = () => events.filter(({ kind }) => kind !== 'heartbeat').map(({ kind }) => kind);
  return { server, events, progress, connection, onDeath, watch, beacon, told };
}

async function until(holds: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 120_000;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`not in time: ${what}`);
    await sleep(5);
  }
}

test('heartbeats go on with new counters while the main thread is busy', async (t) => {
  const s = await setUp(t);
  await until(() => s.told().includes('heard-first'), 'a heartbeat');
  s.progress.captured = epoch(5);
  const busyFrom = monotonicClock.nowMs();
  const busyUntil = busyFrom + 2500;
  while (monotonicClock.nowMs() < busyUntil) {
    // The main thread does not get round to anything.
  }
  await sleep(100);
  t.deepEqual(s.told(), ['heard-first']);
  const beats = s.events.flatMap((event) => (event.kind === 'heartbeat' ? [event] : []));
  const meanwhile = beats.filter(({ atMs }) => atMs > busyFrom && atMs < busyUntil);
  t.true(meanwhile.length > 5, `${meanwhile.length} heartbeats`);
  t.is(beats.at(-1)?.heartbeat.captured, epoch(5));
});

test('a beacon that stops is told as silent', async (t) => {
  const s = await setUp(t);
  await until(() => s.told().includes('heard-first'), 'a heartbeat');
  await s.beacon.stop();
  await until(() => s.told().includes('silent'), 'the silence');
  const event = s.events.find(({ kind }) => kind === 'silent');
  const late = event?.kind === 'silent' ? event.atMs - event.lastHeardAtMs : 0;
  t.true(late > limits.limitMs);
});

test('a NATS server that dies makes the watch blind, not the peer dead', async (t) => {
  const s = await setUp(t);
  await until(() => s.told().includes('heard-first'), 'a heartbeat');
  await s.server.stop();
  await until(() => s.told().includes('blind'), 'the blindness');
  await sleep(1.5 * limits.limitMs);
  const again = await EmbeddedServer.start({ jetStream: false, port: s.server.port });
  t.teardown(() => again.stop());
  await until(() => s.told().includes('sighted'), 'the sight');
  const before = s.events.length;
  await until(() => s.events.length > before + 5, 'heartbeats');
  t.false(s.told().includes('silent'));
});

test('a thread that is kept does the next role’s work as a new one, and says nothing of the last', async (t) => {
  const s = await setUp(t);
  await until(() => s.told().includes('heard-first'), 'a heartbeat');
  await Promise.all([s.watch.stop(), s.beacon.stop()]);
  const before = s.events.length;
  const after: WatchEvent[] = [];
  const { connection, onDeath, progress } = s;
  const onEvent = (event: WatchEvent) => after.push(event);
  const watch = await startWatch({ ...connection, peer: 'backup', limits, onDeath, onEvent });
  const beacon = await startBeacon({
    ...{ ...connection, role: 'backup', agent: 10n, progress, onDeath },
  });
  await until(() => after.some(({ kind }) => kind === 'heartbeat'), 'a heartbeat of the next role');
  await Promise.all([watch.stop(), beacon.stop()]);
  const agents = after.map((event) => (event.kind === 'heartbeat' ? event.heartbeat.agent : 10n));
  t.deepEqual([...new Set(agents)], [10n]);
  t.is(s.events.length, before);
});

test('a kept thread whose connection is away makes room for one that waits for NATS', async (t) => {
  const s = await setUp(t);
  await s.watch.stop();
  await s.server.stop();
  const { connection, onDeath } = s;
  const starting = startWatch({
    ...{ ...connection, connectDeadlineMs: 200, peer: 'primary', limits, onDeath },
    onEvent: () => {},
  });
  const error = await t.throwsAsync(starting);
  t.true(isUnderstudyError(error, 'E_NATS_UNREACHABLE'), String(error));
});

test('a worker that can not reach NATS is an error with its code, not a hang', async (t) => {
  const server = await EmbeddedServer.start({ jetStream: false });
  await server.stop();
  const nats = { servers: [server.url], name: 'test' };
  const onDeath = (error: Error) => t.fail(String(error));
  const starting = startWatch({
    threads: new HeartbeatThreads(),
    nats,
    guest,
    peer: 'primary',
    connectDeadlineMs: 200,
    onDeath,
    onEvent: () => {},
  });
  const error = await t.throwsAsync(starting);
  t.true(isUnderstudyError(error, 'E_NATS_UNREACHABLE'), String(error));
});
