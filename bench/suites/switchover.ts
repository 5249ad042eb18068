import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DrillResult } from '../../drill/result.ts';
import { runDrill } from '../../drill/run.ts';
import { attempt } from '../attempt.ts';
import { heldMs, movePlainGuest, type PlainMove } from '../plain-move.ts';
import { compareRows, type MeasuredRow, type Row } from '../row.ts';
import type { Suite, SuiteOptions } from '../suite.ts';

/** As in drills. */
const load = 'lab.load=kv lab.rate=1000';
const rowIds = ['switchover.pair', 'switchover.qemu', 'switchover.held'];

/** What a client of a guest that is moved waits for, and how much of that is QEMU's own. */
export const switchoverSuite: Suite = {
  name: 'switchover',
  title: 'Switchover, as a client sees it',
  about: `The client's longest time without an answer (250 writes a second over TCP, from a host of
its own) when the lab guest with its key-value store goes to another host. "Understudy": the drill
\`switchover\`, on its way back, with agents, NATS, tcpdump and a download. "QEMU alone": no agents, no
NATS, no epochs; QEMU's own migration to another QEMU that maps the same RAM, so that none is copied.
What is left there is a new QEMU that translates all of the guest's code again (TCG), on the same two
cores. "Held": one QEMU, which keeps its translated code, stopped for ${heldMs} ms and continued.`,
  rowIds,
  run: async ({ quick, progress }: SuiteOptions): Promise<Row[]> => {
    progress('switchover: pairs, and QEMU alone');
    return await attempt(rowIds, () => measure(quick ? 1 : 7));
  },
};

async function measure(runs: number): Promise<Row[]> {
  const plain: PlainMove[] = [];
  const pairMs: number[] = [];
  for (let run = 0; run < runs; run++) {
    plain.push(await movePlainGuest(load));
    pairMs.push(await drillGapMs());
  }
  const row = (id: string, what: string, values: readonly number[]): MeasuredRow => ({
    ...{ id, what, unit: 'ms', values },
  });
  const [pairId, qemuId, heldId] = rowIds;
  const qemu = row(
    qemuId!,
    'QEMU alone',
    plain.map(({ movedGapMs }) => movedGapMs),
  );
  const pair = row(pairId!, 'Understudy', pairMs);
  return [
    { ...pair, against: compareRows(pair, qemu) },
    qemu,
    row(
      heldId!,
      `Held for ${heldMs} ms`,
      plain.map(({ heldGapMs }) => heldGapMs),
    ),
  ];
}

/** With default settings. Throws where a check of the drill did not hold. */
async function drillGapMs(): Promise<number> {
  let said = '';
  const write = (text: string): void => {
    said += text;
  };
  const reportFolder = await mkdtemp(join(tmpdir(), 'understudy-bench-'));
  try {
    await runDrill({ scenario: 'switchover', json: true, output: { write }, reportFolder });
  } finally {
    await rm(reportFolder, { recursive: true, force: true });
  }
  const { ok, client } = JSON.parse(said) as DrillResult;
  const gapMs = client?.faultGapMs;
  if (!ok || typeof gapMs !== 'number') throw new Error('a drill of a switchover failed');
  return gapMs;
}
