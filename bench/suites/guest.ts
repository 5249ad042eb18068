import { isKind } from '../../drill/measure.ts';
import { attempt } from '../attempt.ts';
import { type LabRun, runLab } from '../lab-run.ts';
import type { Row } from '../row.ts';
import type { Suite, SuiteOptions } from '../suite.ts';

const gib = 2 ** 30;
const keyValueLoad = 'lab.load=kv lab.rate=5000';
const benchmarkLoad = 'lab.load=kv lab.rate=0';

/** Whole runs with the real agents: bytes on the wire, memory, and guests of 1 and 4 GiB. */
export const guestSuite: Suite = {
  name: 'guest',
  title: 'Whole guests',
  about: `Two agents, a NATS server and the lab guest (Debian's kernel, Redis) on this machine, at
100 ms epochs, default settings. The guest is protected, works, and loses its host to SIGKILL; the
drill's checkers judge whether it went on. "Bytes on the wire" are all frames of an epoch, headers
and device state included, over its dirty pages times 4096, a value for each second. Memory is
RssAnon of the agent's process, sampled ten times a second; the target counts the highest sample.`,
  rowIds: ['wire.key-value', 'memory.primary', 'memory.primary-4gib', 'works.1gib', 'works.4gib'],
  run: async ({ quick, progress }: SuiteOptions): Promise<Row[]> => {
    const common = { workMs: quick ? 3000 : 30_000, atTakeover: 'full' as const };
    progress('guest: 1 GiB, key-value store');
    const rows = await attempt(['wire.key-value', 'memory.primary', 'works.1gib'], async () => {
      const run = await runLab({ ...common, memoryBytes: 1 * gib, load: keyValueLoad });
      return [
        ...wireRows('key-value', '1 GiB, 5,000 SETs a second', run),
        ...memoryRows('', '1 GiB', run),
        worksRow('works.1gib', '1 GiB', run),
      ];
    });
    progress('guest: 1 GiB, redis-benchmark');
    const busy = await attempt(['wire.redis-benchmark'], async () => {
      const run = await runLab({ ...common, memoryBytes: 1 * gib, load: benchmarkLoad });
      return wireRows('redis-benchmark', '1 GiB, redis-benchmark as fast as it goes', run);
    });
    progress('guest: 4 GiB, key-value store');
    const largeIds = ['wire.key-value-4gib', 'memory.primary-4gib', 'works.4gib'];
    const large = await attempt(largeIds, async () => {
      if (quick) throw new Error('a quick run leaves 4 GiB out');
      const run = await runLab({ ...common, memoryBytes: 4 * gib, load: keyValueLoad });
      return [
        ...wireRows('key-value-4gib', '4 GiB, 5,000 SETs a second', run),
        ...memoryRows('-4gib', '4 GiB', run),
        worksRow('works.4gib', '4 GiB', run),
      ];
    });
    return [...rows, ...busy, ...large];
  },
};

/** A value for each second of the working time. */
function wireRows(name: string, what: string, run: LabRun): Row[] {
  const epochs = workingEpochs(run);
  const seconds = new Map<number, { wire: number; page: number; dirty: number }>();
  for (const { atMs, wireBytes, pageBytes, dirtyPages } of epochs) {
    const second = Math.floor((atMs - run.fromMs) / 1000);
    const sum = seconds.get(second) ?? { wire: 0, page: 0, dirty: 0 };
    sum.wire += wireBytes;
    sum.page += pageBytes;
    sum.dirty += dirtyPages;
    seconds.set(second, sum);
  }
  const full = [...seconds.values()].filter(({ page }) => page > 0);
  if (full.length === 0) throw new Error(`no epoch was captured while the guest worked: ${what}`);
  const values = full.map(({ wire, page }) => wire / page);
  const pages = epochs.map(({ dirtyPages }) => dirtyPages);
  return [
    { id: `wire.${name}`, what: `Bytes on the wire: ${what}`, unit: 'share', values },
    { id: `dirty.${name}`, what: `Dirty pages an epoch: ${what}`, unit: 'pages', values: pages },
    {
      id: `pause-agent.${name}`,
      what: `Pause: ${what}`,
      unit: 'ms',
      values: epochs.map(({ pauseMs }) => pauseMs),
    },
  ];
}

function memoryRows(suffix: string, what: string, { samples }: LabRun): Row[] {
  const primary = samples.map(({ primaryMib }) => primaryMib);
  const backup = samples.map(({ backupMib }) => backupMib);
  const note = (values: readonly number[]) => `highest ${Math.max(...values).toFixed(0)} MiB`;
  return [
    {
      ...{ id: `memory.primary${suffix}`, what: `Memory of the primary agent, guest of ${what}` },
      ...{ unit: 'MiB', values: primary, note: note(primary) },
    },
    {
      ...{ id: `memory.backup${suffix}`, what: `Memory of the backup agent, guest of ${what}` },
      ...{ unit: 'MiB', values: backup, note: note(backup) },
    },
  ];
}

/** 1 where every check of the drill held. */
function worksRow(id: string, what: string, { result, samples }: LabRun): Row {
  const failed = result.checks.filter(({ ok }) => !ok).map(({ name }) => name);
  const sync = result.sync.at(-1);
  const synced = sync === undefined ? '' : `, synchronised in ${sync.syncMs.toFixed(0)} ms`;
  const note = result.ok
    ? `${what}: ${result.epochs.acked} epochs${synced}, resumed with its RAM verified`
    : `${what}: failed ${failed.join(', ')} after ${samples.length} samples`;
  return {
    id,
    what: `Share of checks passed, ${what}`,
    unit: 'share',
    values: shares(result),
    note,
  };
}

const shares = ({ ok, checks }: LabRun['result']): number[] => {
  const held = checks.filter((check) => check.ok).length;
  return [ok ? 1 : Math.min(0.999, held / Math.max(1, checks.length))];
};

export function workingEpochs({ events, fromMs, toMs }: LabRun) {
  return events.primary
    .filter(isKind('epoch'))
    .filter(({ atMs }) => atMs >= fromMs && atMs <= toMs);
}
