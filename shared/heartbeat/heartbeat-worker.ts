/**
 * A worker thread for heartbeats, with a NATS connection of its own: neither the main thread's
 * work nor a window of page data in a socket delays them. It does one task after another, for one
 * role of its process and then for the next. Started by `heartbeat-threads.ts`.
 */
import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { bounds } from '../bounds.ts';
import { monotonicClock } from '../clock.ts';
import { isUnderstudyError } from '../errors.ts';
import { runAhead, SystemCallError } from '../native/libc.ts';
import { connectNats } from '../transport/nats-transport.ts';
import type { Transport } from '../transport/transport.ts';
import { Beacon } from './beacon.ts';
import { ProgressCell } from './progress-cell.ts';
import { Watch } from './watch.ts';
import {
  type FromWorker,
  plainError,
  type RoleTask,
  type ToWorker,
  type WorkerStart,
} from './worker-message.ts';

if (parentPort === null) throw new Error('heartbeat-worker.ts runs as a worker');
/** It runs some tens of microseconds a beat; the rest is for what V8 does now and then. */
const heartbeatShare = { runtimeMs: 3, periodMs: 15 };
const heartbeatNice = -15;
const port = parentPort;
const say = (message: FromWorker): void => port.postMessage(message);
const { nats, guest, connectDeadlineMs } = workerData as WorkerStart;

interface RunningTask {
  readonly watch?: Watch;
  stop(): void;
}
let running: RunningTask | undefined;
let isAhead = false;

/** What was told before there is a connection waits for it. */
const connecting = connectNats(nats, {
  deadlineMs: connectDeadlineMs,
  onWarning: (warning) => say({ kind: 'warning', error: plainError(warning) }),
});
connecting.catch(() => {});

port.on('message', async (message: ToWorker) => {
  switch (message.kind) {
    case 'begin':
      await begin(message.task);
      return;
    case 'follow':
      running?.watch?.follow(message.agent);
      return;
    case 'heard':
      running?.watch?.heard();
      return;
    case 'end':
      end();
      say({ kind: 'idle' });
      return;
    case 'stop':
      end();
      connecting
        .then((transport) => transport.close())
        .catch(() => {})
        .then(() => port.close());
  }
});

async function begin(task: RoleTask): Promise<void> {
  try {
    const transport = await connecting;
    running = task.role === 'beacon' ? startBeacon(transport, task) : startWatch(transport, task);
    await transport.flush();
    // Not before: what a thread does to get ready takes tenths of a second, from everybody else.
    if (!isAhead) comeFirst();
    isAhead = true;
    say({ kind: 'ready' });
  } catch (error) {
    // What is not expected ends the worker and is told by its `error` event.
    if (!isUnderstudyError(error)) throw error;
    end();
    say({ kind: 'failed', error: plainError(error) });
  }
}

function end(): void {
  running?.stop();
  running = undefined;
}

function startBeacon(transport: Transport, task: RoleTask & { role: 'beacon' }): RunningTask {
  const { subject, agent, intervalMs } = task;
  const progress = new ProgressCell(task.progress);
  const beacon = new Beacon({ transport, subject, guest, agent, progress, clock: monotonicClock });
  beacon.beat();
  const timer = setInterval(() => beacon.beat(), intervalMs);
  return { stop: () => clearInterval(timer) };
}

function startWatch(transport: Transport, task: RoleTask & { role: 'watch' }): RunningTask {
  const { subject, echoSubject, limits } = task;
  const watch = new Watch({
    transport,
    subject,
    echoSubject,
    guest,
    limits,
    clock: monotonicClock,
    echoEveryMs: Math.min(bounds.heartbeatIntervalMs, limits.limitMs / 4),
    onEvent: (event) => say({ kind: 'event', event }),
  });
  const timer = setInterval(() => watch.tick(), bounds.watchTickMs);
  return {
    watch,
    stop: () => {
      clearInterval(timer);
      watch.close();
    },
  };
}

/**
 * A busy host must not look like a dead one: this raises the calling thread alone. A share of a core,
 * and not real time without bounds: V8 sweeps a heap on threads of its own, which are ordinary ones,
 * and this one asks again and again until they are done. In real time it kept them from it: a second
 * of both cores, until the kernel stopped it. Niceness is what is left where no share is to be had;
 * without the right to either it runs as all else does.
 */
function comeFirst(): void {
  try {
    runAhead(heartbeatShare);
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
    runNicely();
  }
}

function runNicely(): void {
  try {
    setPriority(0, heartbeatNice);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
  }
}
