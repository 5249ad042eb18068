import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Lab } from '../../drill/lab.ts';
import { isKind } from '../../drill/measure.ts';
import { RamFile } from '../../shared/memory/ram-file.ts';
import { attempt } from '../attempt.ts';
import { bootSector } from '../boot-sector.ts';
import { countOf, Pacer, ticksAtStart } from '../counting-guest.ts';
import { runLab } from '../lab-run.ts';
import type { Row } from '../row.ts';
import type { Suite, SuiteOptions } from '../suite.ts';

const memoryBytes = 512 * 2 ** 20;
const regionPages = 2 ** 16;
/** A little more than is asked for: some pages are written twice in an epoch. */
const writesPerSecond = 27_000;
const partMs = 10_000;

const rowIds = ['sustained.pages', 'sustained.lag-first', 'sustained.lag-last', 'sustained.writes'];

/** What a minute of many written pages does to how far behind the backup is. */
export const sustainedSuite: Suite = {
  name: 'sustained',
  title: 'Many pages for a minute',
  about: `Two real agents, a NATS server and a guest of 512 MiB under TCG on this machine, 100 ms
epochs, default settings. The guest writes scattered pages at a pace set from outside, a little over
25,000 a second, for a minute. It goes by its clock, and makes up for what it was kept from: "writes"
are those that it counted itself, what was offered, some of them to one page twice in an epoch. (By the
turns of an empty loop, as before, its pace was within a tenth of what was wanted, and went with the
speed of its core.) "Lag" is from the end of an epoch's capture to its acknowledgement;
it must not be longer at the end than at the beginning.`,
  rowIds,
  run: async ({ quick, progress }: SuiteOptions): Promise<Row[]> => {
    progress('sustained: a minute of many written pages');
    return await attempt(rowIds, () => measure(quick ? 2 * partMs : 60_000));
  },
};

async function measure(workMs: number): Promise<Row[]> {
  const folder = await mkdtemp(join(tmpdir(), 'understudy-bench-'));
  const bootImage = join(folder, 'boot.img');
  await writeFile(bootImage, bootSector(regionPages - 1, ticksAtStart, 'clock'));
  let fromMs = Number.NaN;
  const writes: number[] = [];
  try {
    const during = async (lab: Lab): Promise<void> => {
      const memory = RamFile.open(join(lab.primarySide.memoryFolder, 'bench.ram'), memoryBytes);
      try {
        await new Pacer(memory).set(writesPerSecond);
        fromMs = nowMs();
        writes.push(...(await countWrites(memory, workMs)));
      } finally {
        memory.close();
      }
    };
    const common = { memoryBytes, load: '', workMs, atTakeover: 'recorded' as const };
    const { events, toMs } = await runLab({ ...common, bootImage, during });
    const isInside = ({ atMs }: { atMs: number }) => atMs >= fromMs && atMs < toMs;
    const epochs = events.primary.filter(isKind('epoch')).filter(isInside);
    const acks = events.primary.filter(isKind('ack')).filter(isInside);
    const lags = (from: number, to: number) =>
      acks.filter(({ atMs }) => atMs >= from && atMs < to).map(({ lagMs }) => lagMs);
    const pages = new Array<number>(Math.floor((toMs - fromMs) / 1000)).fill(0);
    for (const { atMs, dirtyPages } of epochs) {
      const second = Math.floor((atMs - fromMs) / 1000);
      if (second < pages.length) pages[second]! += dirtyPages;
    }
    return [
      { id: rowIds[0]!, what: 'Dirty pages', unit: 'pages/s', values: pages },
      {
        ...{ id: rowIds[1]!, what: 'Lag, the first ten seconds', unit: 'ms' },
        values: lags(fromMs, fromMs + partMs),
      },
      {
        ...{ id: rowIds[2]!, what: 'Lag, the last ten seconds', unit: 'ms' },
        values: lags(toMs - partMs, toMs),
      },
      { id: rowIds[3]!, what: 'Writes that the guest made', unit: 'pages/s', values: writes },
    ];
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The guest's own count of a while, a value for each second. */
async function countWrites(memory: RamFile, ms: number): Promise<number[]> {
  const perSecond: number[] = [];
  const endMs = nowMs() + ms;
  for (let [atMs, count] = [nowMs(), countOf(memory)]; nowMs() < endMs; ) {
    await sleep(Math.min(1000, endMs - nowMs()));
    const [beforeMs, before] = [atMs, count];
    [atMs, count] = [nowMs(), countOf(memory)];
    perSecond.push(((count - before) / (atMs - beforeMs)) * 1000);
  }
  return perSecond;
}

const nowMs = () => Number(process.hrtime.bigint()) / 1e6;
