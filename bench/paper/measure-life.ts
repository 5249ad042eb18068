import { loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { type EventOf, isKind } from '../../drill/measure.ts';
import { monotonicClock } from '../../shared/clock.ts';
import type { TimedEvent } from '../../shared/observe/events.ts';
import { reasonOf } from '../attempt.ts';
import { mean, median, quantile } from '../row.ts';
import { type Cell, type CellResult, checkpointMsOf, type FailedCell, isUsual } from './cell.ts';
import { CoreSpeed } from './core-speed.ts';
import { FailoverClient } from './failover-client.ts';
import { type AgentSeconds, HostPair } from './host-pair.ts';
import type { LifeTask } from './life-process.ts';
import { ProgressMeter, type WorkDone } from './progress-meter.ts';
import { workloadOf } from './workloads.ts';

const settleMs = 1000;

/** How long is measured, and how often. */
export interface CellTimes {
  /** The work alone, and the work under protection at the least. */
  readonly aloneMs: number;
  readonly protectedMs: number;
  /** Under protection, where type I and II are asked for, and no overhead. */
  readonly shorterMs: number;
  /** How often a guest is alone and then protected, for its overhead; and that of fgbi as usual. */
  readonly turns: number;
  readonly fgbiTurns: number;
  /** Of a cell that is as usual; any other has one. */
  readonly failovers: number;
}

/**
 * One guest's life, cell by cell: it works alone, then protected, then its host is killed and it
 * goes on at the backup, from where it is protected again. What can't be measured any more once
 * a cell failed comes back with the reason.
 */
export async function measureLife(
  { life, guest, times, speedProbe }: LifeTask,
  signal: AbortSignal,
): Promise<readonly (CellResult | FailedCell)[]> {
  const results: CellResult[] = [];
  const pair = await HostPair.start(guest, signal);
  const speed = CoreSpeed.start(speedProbe);
  const meter = new ProgressMeter(workloadOf(life.workload));
  try {
    for (const cell of life.cells) {
      await pair.startPrimary(cell);
      if (results.length === 0) await meter.begun(signal);
      results.push(await measureCell(cell, { pair, meter, speed, times, signal }));
    }
    return results;
  } catch (error) {
    process.stderr.write(`${error}\n${await pair.lastLogLines()}\n`);
    const [failed, ...after] = life.cells.slice(results.length);
    const notRun = reasonOf(error);
    return [
      ...results,
      ...(failed === undefined ? [] : [{ ...failed, notRun }]),
      ...after.map((cell) => ({ ...cell, notRun: `an earlier cell of this guest: ${notRun}` })),
    ];
  } finally {
    meter.stop();
    speed.stop();
    // What was measured is not lost by what can't be cleared away.
    await pair.takeDown().catch((error) => process.stderr.write(`${error}\n`));
  }
}

interface CellParts {
  readonly pair: HostPair;
  readonly meter: ProgressMeter;
  readonly speed: CoreSpeed;
  readonly times: CellTimes;
  readonly signal: AbortSignal;
}

/** Begins with a primary without a backup; ends with the guest at a host that the last one left. */
async function measureCell(cell: Cell, parts: CellParts): Promise<CellResult> {
  const { pair, times, signal } = parts;
  const { turns, fromMs, agentCores } = await measureWork(cell, parts);
  const measured = measureEvents(pair.primaryEvents(), fromMs, monotonicClock.nowMs());

  const seen: Failover[] = [await failOver(cell, parts)];
  const wanted = isUsual(cell) ? times.failovers : 1;
  while (seen.length < wanted && seen.at(-1)?.answersMs !== null) {
    await pair.startPrimary(cell);
    await pair.startBackup(cell);
    await sleep(settleMs, undefined, { signal });
    seen.push(await failOver(cell, parts));
  }
  return {
    ...cell,
    typeIMs: medianOf(seen.map(({ answersMs }) => answersMs)),
    typeISamplesMs: seen.map(({ answersMs }) => answersMs),
    resumedMs: median(seen.map(({ resumedMs }) => resumedMs)),
    typeIPhasesMs: typeIPhases(seen),
    regainedMs: medianOf(seen.map(({ regainedMs }) => regainedMs)),
    ...measured,
    overhead: medianOf(turns.map(({ overhead }) => overhead)),
    overheadSamples: turns.map(({ overhead }) => overhead),
    overheadByClock: medianOf(turns.map(({ byClock }) => byClock)),
    agentCores,
    loadAverage: loadavg()[0]!,
  };
}

/** What protection took from the guest's work, as a share of it, in one turn. */
interface Turn {
  /** With the work at equal speed of the guest's core. */
  readonly overhead: number;
  /** With the work a second, whatever the core's speed was. */
  readonly byClock: number;
}

/**
 * The guest's work alone and protected, by turns, so that what grows faster or slower on the way
 * falls on both. `fromMs`: when the last measurement under protection began.
 */
async function measureWork(cell: Cell, { pair, meter, speed, times, signal }: CellParts) {
  const turns: Turn[] = [];
  const wanted = turnsOf(cell, times);
  for (let turn = 1; ; turn++) {
    let alone: WorkDone | undefined;
    if (wanted > 0) {
      await sleep(settleMs, undefined, { signal });
      alone = await meter.measure(times.aloneMs, signal);
    }
    await pair.startBackup(cell);
    await sleep(settleMs + checkpointMsOf(cell), undefined, { signal });
    const fromMs = monotonicClock.nowMs();
    const wantedMs = wanted > 0 ? times.protectedMs : times.shorterMs;
    // Some checkpoints at the least, of the rarest, too.
    const before = pair.agentSeconds();
    const work = await meter.measure(Math.max(wantedMs, 3 * checkpointMsOf(cell)), signal);
    const agentCores = coresSince(before, pair.agentSeconds(), monotonicClock.nowMs() - fromMs);
    if (alone !== undefined) turns.push(compareWork(work, alone, speed));
    if (turn >= wanted) return { turns, fromMs, agentCores };
    await pair.stopBackup();
  }
}

function coresSince(before: AgentSeconds, after: AgentSeconds, ms: number): AgentSeconds {
  return {
    primary: (after.primary - before.primary) / (ms / 1000),
    backup: (after.backup - before.backup) / (ms / 1000),
  };
}

/** How the work of two times compares, by the clock and by what the core could do in each. */
export function compareWork(
  work: WorkDone,
  alone: WorkDone,
  speed: Pick<CoreSpeed, 'loopsPerMs'>,
): Turn {
  const perLoop = ({ perSecond, fromMs, toMs }: WorkDone) =>
    perSecond / speed.loopsPerMs(fromMs, toMs);
  return {
    overhead: 1 - perLoop(work) / perLoop(alone),
    byClock: 1 - work.perSecond / alone.perSecond,
  };
}

function turnsOf(cell: Cell, { turns, fgbiTurns }: CellTimes): number {
  if (isUsual(cell)) return cell.mode === 'fgbi' ? fgbiTurns : turns;
  return cell.blockBytes === 64 ? 0 : turns;
}

interface Failover {
  readonly answersMs: number | null;
  readonly resumedMs: number;
  readonly regainedMs: number | null;
  readonly phasesMs: EventOf<'takeover'>['phasesMs'];
}

/** Medians of what type I is made of: the backup's own phases, and what it does not see. */
function typeIPhases(seen: readonly Failover[]): CellResult['typeIPhasesMs'] {
  const of = (phase: (failover: Failover) => number | null) => medianOf(seen.map(phase)) ?? 0;
  return {
    detect: of(({ phasesMs }) => phasesMs.detect),
    decide: of(({ phasesMs }) => phasesMs.decide),
    load: of(({ phasesMs }) => phasesMs.load + phasesMs.verify + phasesMs.resume),
    answer: of(({ answersMs, resumedMs }) => answersMs && answersMs - resumedMs),
  };
}

/** The guest's host dies at a moment that is drawn. */
async function failOver(cell: Cell, { pair, meter, signal }: CellParts): Promise<Failover> {
  const client = new FailoverClient();
  try {
    await heard(client, signal);
    await sleep(Math.random() * checkpointMsOf(cell), undefined, { signal });
    pair.primaryEvents();
    const killedAtMs = monotonicClock.nowMs();
    const takeover = await pair.killPrimaryHost(() => client.killed());
    const seen = await client.seen(signal);
    return {
      answersMs: seen?.answersMs ?? null,
      resumedMs: takeover.atMs - killedAtMs,
      regainedMs: seen?.regainedMs ?? null,
      phasesMs: takeover.phasesMs,
    };
  } finally {
    client.stop();
    meter.reconnect();
  }
}

/** Of those that there are. */
function medianOf(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : median(known);
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
    // Epochs of an earlier session have the same numbers.
    return paused === undefined || atMs < paused ? [] : [atMs - paused];
  });
  return {
    typeIIMs: { mean: mean(pauses), p50: median(pauses), p99: quantile(pauses, 0.99) },
    pausedShare: sum(({ pauseMs }) => pauseMs) / (seconds * 1000),
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
