import { loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LabGuest } from '../../drill/lab-guest/build.ts';
import { isKind } from '../../drill/measure.ts';
import { monotonicClock } from '../../shared/clock.ts';
import type { TimedEvent } from '../../shared/observe/events.ts';
import { median, quantile } from '../row.ts';
import { type Cell, type CellResult, checkpointMsOf } from './cell.ts';
import { FailoverClient } from './failover-client.ts';
import { HostPair } from './host-pair.ts';
import { ProgressMeter } from './progress-meter.ts';
import { workloadOf } from './workloads.ts';

const settleMs = 1000;

/** How long is measured: the work alone, and the work under protection at the least. */
export interface CellTimes {
  readonly aloneMs: number;
  readonly protectedMs: number;
}

/**
 * One guest's life: it works alone, then protected, then its host is killed and it goes on at the
 * backup. Throws where any of it does not come about.
 */
export async function measureCell(
  cell: Cell,
  guest: LabGuest,
  times: CellTimes,
  signal: AbortSignal,
): Promise<CellResult> {
  const pair = await HostPair.start(cell, guest, signal);
  const meter = new ProgressMeter(workloadOf(cell.workload));
  let client: FailoverClient | undefined;
  try {
    await pair.startPrimary();
    await meter.begun(signal);
    await sleep(settleMs, undefined, { signal });
    const aloneRate = await meter.rate(times.aloneMs, signal);

    await pair.startBackup();
    await sleep(settleMs + checkpointMsOf(cell), undefined, { signal });
    const fromMs = monotonicClock.nowMs();
    // Some checkpoints at the least, of the rarest, too.
    const protectedMs = Math.max(times.protectedMs, 6 * checkpointMsOf(cell));
    const protectedRate = await meter.rate(protectedMs, signal);
    const measured = measureEvents(pair.primaryEvents(), fromMs, monotonicClock.nowMs());

    client = new FailoverClient();
    await heard(client, signal);
    await sleep(Math.random() * checkpointMsOf(cell), undefined, { signal });
    pair.primaryEvents();
    const killedAtMs = monotonicClock.nowMs();
    const takeover = await pair.killPrimaryHost(() => client?.killed());
    const seen = await client.seen(signal);
    return {
      ...cell,
      typeIMs: seen?.answersMs ?? null,
      resumedMs: takeover.atMs - killedAtMs,
      regainedMs: seen?.regainedMs ?? null,
      ...measured,
      overhead: 1 - protectedRate / aloneRate,
      loadAverage: loadavg()[0]!,
    };
  } catch (error) {
    process.stderr.write(`${await pair.lastLogLines()}\n`);
    throw error;
  } finally {
    client?.stop();
    meter.stop();
    await pair.takeDown();
  }
}

/** The checkpoints that began between two instants of the monotonic clock. */
export function measureEvents(events: readonly TimedEvent[], fromMs: number, toMs: number) {
  const all = events.filter(isKind('epoch'));
  const inside = all.filter(({ pausedAtMs }) => pausedAtMs >= fromMs && pausedAtMs <= toMs);
  const first = inside[0];
  const before = first && all[all.indexOf(first) - 1];
  if (first === undefined || before === undefined) throw new Error('too few checkpoints');
  const seconds = (inside.at(-1)!.pausedAtMs - before.pausedAtMs) / 1000;
  const sum = (value: (epoch: (typeof inside)[number]) => number) =>
    inside.reduce((total, epoch) => total + value(epoch), 0);
  const pauses = inside.map(({ pauseMs }) => pauseMs);
  const wireBytes = sum((epoch) => epoch.wireBytes);
  const pausedAtMs = new Map(inside.map((epoch) => [epoch.epoch, epoch.pausedAtMs]));
  const acks = events.filter(isKind('ack')).flatMap(({ epoch, atMs }) => {
    const paused = pausedAtMs.get(epoch);
    return paused === undefined ? [] : [atMs - paused];
  });
  return {
    typeIIMs: { p50: median(pauses), p99: quantile(pauses, 0.99) },
    epochs: inside.length,
    ackMs: acks.length === 0 ? null : median(acks),
    wire: {
      ratio: wireBytes / sum((epoch) => epoch.pageBytes),
      bytesPerSecond: wireBytes / seconds,
    },
    dirtyPagesPerSecond: sum((epoch) => epoch.dirtyPages) / seconds,
  };
}

async function heard(client: FailoverClient, signal: AbortSignal): Promise<void> {
  const endAtMs = performance.now() + 60_000;
  while (!client.hasHeard) {
    if (performance.now() > endAtMs) throw new Error('the guest answers no client');
    await sleep(20, undefined, { signal });
  }
}
