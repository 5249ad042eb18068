import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { formatBytes, formatCount, formatMs } from '../amounts.ts';
import type { Check } from '../check.ts';
import { stepError } from '../drill-error.ts';
import type { Lab } from '../lab.ts';
import type { HostName } from '../network/lab-network.ts';
import { SlowDisks, type Slowness } from '../slow-disks.ts';
import {
  type DrillContext,
  type Findings,
  failPrimaryHost,
  startProtected,
  work,
  workFor,
} from '../steps.ts';

/** A disk that turns, and that others use. */
const slow: Slowness = { writeMs: 4, syncMs: 150 };
const usual: Slowness = { writeMs: 0, syncMs: 0 };

const mib = 2 ** 20;
/** What may wait to leave: 32 MiB in the log, 16 of the connection; and what heaps may keep. */
const moreMemoryMax = (32 + 16 + 96) * mib;
/** For so long a client may hear nothing. */
const silenceMsMax = 10_000;
const lookEveryMs = 100;

/**
 * The disk of the primary's host is slow for a while, then that of the backup's host, and while it
 * still is the primary's host dies. The guest's store syncs each write.
 */
export async function slowDisk(lab: Lab, context: DrillContext): Promise<Findings> {
  const { progress, config } = context;
  const disks = new SlowDisks(lab.folder.path);
  lab.slowDisks = disks;
  await startProtected(lab, context);
  await work(lab, context);
  const checks: Check[] = [];
  for (const [host, whose] of [
    ['a', "the primary's"],
    ['b', "the backup's"],
  ] as const) {
    progress.heading(`The disk of ${whose} host is slow`);
    const before = memoryOf(lab);
    disks.set(host, slow);
    const seen = await watchedWhile(lab, context, 2 * config.drill.workMs);
    checks.push(wasSlow(disks, host, whose), ...judge(seen, before, host, whose));
    for (const { detail } of checks.slice(-3)) progress.line(detail);
    // That of the backup stays so.
    if (host === 'a') {
      disks.set(host, usual);
      await work(lab, context);
    }
  }
  const findings = await failPrimaryHost(lab, context);
  return { ...findings, checks: [...checks, ...findings.checks] };
}

interface Seen {
  /** Writes that the client was told about, and the longest time without one. */
  readonly writes: number;
  readonly silenceMs: number;
  readonly peakBytes: Readonly<Record<HostName, number>>;
}

/** The guest works as it can; protection has to hold. */
async function watchedWhile(lab: Lab, context: DrillContext, ms: number): Promise<Seen> {
  const { witness, signal } = context;
  let isOver = false;
  const first = (await witness.acknowledged()) ?? 0;
  let [last, lastAtMs, silenceMs] = [first, performance.now(), 0];
  const peakBytes = memoryOf(lab);
  const watching = (async () => {
    while (!isOver) {
      await sleep(lookEveryMs, undefined, { signal });
      const acknowledged = (await witness.acknowledged()) ?? 0;
      const nowMs = performance.now();
      silenceMs = Math.max(silenceMs, nowMs - lastAtMs);
      if (acknowledged > last) [last, lastAtMs] = [acknowledged, nowMs];
      const now = memoryOf(lab);
      for (const host of ['a', 'b'] as const) {
        peakBytes[host] = Math.max(peakBytes[host], now[host]);
      }
    }
  })();
  try {
    await workFor(lab, context, ms);
  } finally {
    isOver = true;
    await watching;
  }
  return { writes: last - first, silenceMs, peakBytes };
}

function wasSlow(disks: SlowDisks, host: HostName, whose: string): Check {
  const { writes, syncs } = disks.calls(host);
  const { writeMs, syncMs } = slow;
  return {
    name: `disk-was-slow-${host}`,
    // The backup syncs nothing of an epoch: what it holds is gone with its memory anyway.
    ok: writes > 0 && (syncs > 0 || host === 'b'),
    detail:
      `${formatCount(writes)} writes on ${whose} host took ${formatMs(writeMs)} more each, ` +
      `${formatCount(syncs)} syncs ${formatMs(syncMs)}`,
  };
}

function judge(
  { writes, silenceMs, peakBytes }: Seen,
  before: Readonly<Record<HostName, number>>,
  host: HostName,
  whose: string,
): Check[] {
  const more = (['a', 'b'] as const).map((one) => peakBytes[one] - before[one]);
  return [
    {
      name: `client-is-served-${host}`,
      ok: writes > 0 && silenceMs < silenceMsMax,
      detail:
        `${formatCount(writes)} writes were acknowledged while ${whose} disk was slow, ` +
        `never none for more than ${formatMs(silenceMs)}`,
    },
    {
      name: `memory-is-bounded-${host}`,
      ok: more.every((bytes) => bytes < moreMemoryMax),
      detail:
        `the agents took ${more.map((bytes) => formatBytes(Math.max(0, bytes))).join(' and ')} more ` +
        `memory than before, of ${formatBytes(moreMemoryMax)} at most`,
    },
  ];
}

/** Of each agent's process, what is no file, as the system counts it. */
function memoryOf(lab: Lab): Record<HostName, number> {
  const of = (host: HostName): number => {
    const status = readFileSync(`/proc/${lab.agent(host).pid}/status`, 'latin1');
    const kib = /RssAnon:\s+(\d+)/.exec(status)?.[1];
    if (kib === undefined) throw stepError(`the agent of host ${host} is gone`);
    return Number(kib) * 1024;
  };
  return { a: of('a'), b: of('b') };
}
