import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Lab } from '../../drill/lab.ts';
import { isKind } from '../../drill/measure.ts';
import { UndoList } from '../../shared/undo-list.ts';
import { attempt } from '../attempt.ts';
import { contender, ended, loads, makeImage, startQemuNbd } from '../disk-loads.ts';
import { measureResync } from '../disk-resync.ts';
import { compareTakeovers, takeoverIds } from '../disk-takeovers.ts';
import { type LabRun, runLab } from '../lab-run.ts';
import { ProcessorProfile, pairPartIds, partsOfPair } from '../processor-profile.ts';
import { benchSeconds, processorSeconds } from '../processor-time.ts';
import { race } from '../race.ts';
import { type MeasuredRow, median, type Row, type Unit } from '../row.ts';
import type { Suite, SuiteOptions } from '../suite.ts';

const mib = 2 ** 20;
const quietMs = 3000;
const guest = { memoryBytes: 512 * mib, load: 'lab.load=none', workMs: 0 } as const;
const [raceIds, pairIds] = [
  loads.map(({ id }) => `disk-replicated.${id}`),
  [
    ...['disk-pause.quiet', 'disk-pause.written', 'disk-still.quiet', 'disk-still.written'],
    ...['disk-memory.primary', 'disk-memory.backup'],
    ...pairPartIds.flatMap((part) => [`disk-idle.${part}`, `disk-work.${part}`]),
    ...['disk-work-nbd.server', 'disk-work-nbd.bench'],
    ...['qemu-nbd-served.seq-write', 'disk-replicated-served.seq-write'],
  ],
];
const resyncIds = ['disk-resync.sent'];

/** A disk in use while a backup on the same machine gets all of its changes. */
export const diskPairSuite: Suite = {
  name: 'disk-pair',
  title: 'A replicated disk',
  about: `Two real agents and the lab guest of 512 MiB at 100 ms epochs, on one machine with their
NATS server. \`qemu-img bench\` uses the guest's replicated disk of 512 MiB beside the guest, by turns
with qemu-nbd on a file of the same content; what it writes goes to the backup with the epochs. "Pause" is
that of the guest's checkpoints, before that and during it; "stands still" is what pauses are of the
time from one checkpoint to the next; "memory" is what an agent has for itself
(RssAnon), at its highest during it less what it had before. "Processor time" is of all
that works meanwhile, in ms for each MiB of a sequential write until its last reply, and in cores
("share") while nobody uses the disk. Nobody speaks to the guest meanwhile, but for the rows that
say so: the client that checks it then writes 250 times a second into its store.
Takeovers are after detection, RAM verified
as recorded, of the guest whose store syncs each write on a disk, and of the same without a disk, by turns.`,
  rowIds: [...raceIds, ...pairIds, ...resyncIds, ...takeoverIds],
  run: async (options: SuiteOptions): Promise<Row[]> => [
    ...(await attempt([...raceIds, ...pairIds], () => raceReplicated(options))),
    ...(await attempt(resyncIds, () => bringBack(options))),
    ...(await attempt(takeoverIds, () => compareTakeovers(options, guest))),
  ],
};

async function raceReplicated({ quick, progress }: SuiteOptions): Promise<Row[]> {
  return await UndoList.around(async (undo) => {
    const folder = await mkdtemp(join(tmpdir(), 'understudy-bench-'));
    undo.defer(() => rm(folder, { recursive: true, force: true }));
    const nbd = await startQemuNbd(join(folder, 'theirs.sock'), await makeImage(folder, 'theirs'));
    undo.defer(() => ended(nbd));
    const diskImage = await makeImage(folder, 'ours');
    const rows: Row[] = [];
    let loadedFromMs = 0;
    let quietSamples = 0;
    const during = async (lab: Lab, rest: (isResting: boolean) => void) => {
      rest(true);
      const startedAtMs = Date.now();
      const pair = new ProcessorProfile(partsOfPair(lab));
      const alone = new ProcessorProfile([
        { id: 'server', what: 'qemu-nbd', seconds: () => processorSeconds(nbd.pid!) },
        { id: 'bench', what: 'qemu-img and the bench', seconds: benchSeconds },
      ]);
      const idle = 'Processor, nobody uses the disk';
      rows.push(...(await pair.sharesDuring(() => sleep(quietMs), 'disk-idle', idle)));
      quietSamples = Math.floor((Date.now() - startedAtMs) / 100);
      loadedFromMs = Number(process.hrtime.bigint()) / 1e6;
      const socket = join(lab.primarySide.runFolder, 'bench', 'disks.sock');
      const uri = `nbd+unix:///disk0?socket=${socket}`;
      for (const load of loads) {
        progress(`disk-pair: ${load.what}`);
        const share = quick ? 0.05 : 1;
        const theirs = contender(load, share, 'qemu-nbd-beside', 'qemu-nbd', nbd.uri);
        const ours = contender(load, share, 'disk-replicated', 'agent, replicated', uri);
        const both = [theirs, { ...ours, against: theirs.id }];
        const isProfiled = load.id === 'seq-write';
        const mibEach = (Math.ceil(load.count * share) * load.requestBytes) / mib;
        const raced = isProfiled
          ? [alone.around(both[0]!, mibEach), pair.around(both[1]!, mibEach)]
          : both;
        rows.push(...(await race(raced, { rounds: quick ? 1 : 7, roundMs: 0 })));
      }
      rest(false);
      rows.push(...(await raceServed(uri, nbd.uri, quick)));
      rows.push(...pair.rows('disk-work', 'Processor time a MiB, replicated'));
      rows.push(...alone.rows('disk-work-nbd', 'Processor time a MiB, qemu-nbd'));
    };
    const run = await runLab({ ...guest, atTakeover: 'recorded', diskImage, during });
    return [...rows, ...pauseRows(run, loadedFromMs), ...memoryRows(run, quietSamples)];
  });
}

/** The same beside a guest that is at work for a client. */
async function raceServed(ourUri: string, theirUri: string, quick: boolean): Promise<Row[]> {
  const load = loads.find(({ id }) => id === 'seq-write')!;
  const share = quick ? 0.05 : 1;
  const beside = (who: string) => `${who}, beside a guest that serves a client`;
  const theirs = contender(load, share, 'qemu-nbd-served', beside('qemu-nbd'), theirUri);
  const who = beside('agent, replicated');
  const ours = contender(load, share, 'disk-replicated-served', who, ourUri);
  return await race([theirs, { ...ours, against: theirs.id }], {
    rounds: quick ? 1 : 7,
    roundMs: 0,
  });
}

async function bringBack({ progress }: SuiteOptions): Promise<Row[]> {
  return await UndoList.around(async (undo) => {
    const folder = await mkdtemp(join(tmpdir(), 'understudy-bench-'));
    undo.defer(() => rm(folder, { recursive: true, force: true }));
    const diskImage = await makeImage(folder, 'ours');
    progress('disk-pair: a host that returns');
    const rows: Row[] = [];
    const during = async (lab: Lab) => {
      rows.push(await measureResync(lab, resyncIds[0]!));
    };
    await runLab({ ...guest, atTakeover: 'recorded', diskImage, samplesMemory: false, during });
    return rows;
  });
}

function pauseRows({ events, fromMs, toMs }: LabRun, loadedFromMs: number): Row[] {
  const epochs = events.primary.filter(isKind('epoch'));
  const between = (from: number, to: number) =>
    epochs.filter(({ pausedAtMs }) => pausedAtMs >= from && pausedAtMs < to);
  const pauses = (from: number, to: number) => between(from, to).map(({ pauseMs }) => pauseMs);
  // Epochs are longer than their interval where the one before is not sent yet.
  const still = (from: number, to: number) => {
    const found = between(from, to);
    return found
      .slice(1)
      .map(({ pausedAtMs }, i) => found[i]!.pauseMs / (pausedAtMs - found[i]!.pausedAtMs));
  };
  const [quiet, written] = ['nobody uses the disk', 'the disk is used as fast as it goes'];
  const row = (id: string, what: string, unit: Unit, values: readonly number[]): Row =>
    values.length === 0 ? { id, what, notRun: 'no epoch' } : { id, what, unit, values };
  return [
    row('disk-pause.quiet', `Pause, ${quiet}`, 'ms', pauses(fromMs, loadedFromMs)),
    row('disk-pause.written', `Pause, ${written}`, 'ms', pauses(loadedFromMs, toMs)),
    row(
      'disk-still.quiet',
      `The guest stands still, ${quiet}`,
      'share',
      still(fromMs, loadedFromMs),
    ),
    row(
      'disk-still.written',
      `The guest stands still, ${written}`,
      'share',
      still(loadedFromMs, toMs),
    ),
  ];
}

function memoryRows({ samples }: LabRun, quietSamples: number): Row[] {
  const sides = [
    ['primary', samples.map(({ primaryMib }) => primaryMib)],
    ['backup', samples.map(({ backupMib }) => backupMib)],
  ] as const;
  return sides.map(([side, all]) => {
    const before = median(all.slice(0, Math.max(1, quietSamples)));
    const values = [Math.max(0.01, Math.max(...all) - before)];
    const what = `Memory while the disk is used, over that before: ${side}`;
    return { id: `disk-memory.${side}`, what, unit: 'MiB', values } satisfies MeasuredRow;
  });
}
