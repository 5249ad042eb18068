/**
 * A worker thread for heartbeats, with a NATS connection of its own: neither the main thread's
 * work nor a window of page data in a socket delays them. Started by `heartbeat-thread.ts`.
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
import { type FromWorker, plainError, type ToWorker, type WorkerTask } from './worker-message.ts';

if (parentPort === null) throw new Error('heartbeat-worker.ts runs as a worker');
/** It runs some tens of microseconds a beat; the rest is for what V8 does now and then. */
const heartbeatShare = { runtimeMs: 3, periodMs: 15 };
const heartbeatNice = -15;
const port = parentPort;
const say = (message: FromWorker): void => port.postMessage(message);
const task = workerData as WorkerTask;

try {
  const transport = await connectNats(task.nats, {
    deadlineMs: task.connectDeadlineMs,
    onWarning: (warning) => say({ kind: 'warning', error: plainError(warning) }),
  });
  const stop = task.role === 'beacon' ? startBeacon(transport) : startWatch(transport);
  port.on('message', (message: ToWorker) => {
    if (message.kind !== 'stop') return;
    stop();
    transport.close().then(() => port.close());
  });
  await transport.flush();
  // Not before: what a thread does to get ready takes tenths of a second, from everybody else.
  comeFirst();
  say({ kind: 'ready' });
} catch (error) {
  // What is not expected ends the worker and is told by its `error` event.
  if (!isUnderstudyError(error)) throw error;
  say({ kind: 'failed', error: plainError(error) });
  port.close();
}

function startBeacon(transport: Transport): () => void {
  if (task.role !== 'beacon') throw new Error('not a beacon');
  const { subject, guest, agent, intervalMs } = task;
  const progress = new ProgressCell(task.progress);
  const beacon = new Beacon({ transport, subject, guest, agent, progress, clock: monotonicClock });
  beacon.beat();
  const timer = setInterval(() => beacon.beat(), intervalMs);
  return () => clearInterval(timer);
}

function startWatch(transport: Transport): () => void {
  if (task.role !== 'watch') throw new Error('not a watch');
  const { subject, echoSubject, guest, limits } = task;
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
  port.on('message', (message: ToWorker) => {
    if (message.kind === 'follow') watch.follow(message.agent);
    if (message.kind === 'heard') watch.heard();
  });
  const timer = setInterval(() => watch.tick(), bounds.watchTickMs);
  return () => {
    clearInterval(timer);
    watch.close();
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
