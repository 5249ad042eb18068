import { WriteProtectTracker } from '../../primary/capture/write-protect.ts';
import { attempt } from '../attempt.ts';
import { withCountingGuest } from '../counting-guest.ts';
import { type EpochNumber, LivePauses, type PausedEpoch, type PausePair } from '../live-pauses.ts';
import { median, type Row } from '../row.ts';
import type { Suite, SuiteOptions } from '../suite.ts';

const mib = 2 ** 20;
const epochMs = 1000;
const ratesPerSecond = [1000, 5000, 25_000] as const;
/** 256 MiB: few pages are written twice in an epoch, and a tenth more writes make up for them. */
const regionPages = 65_536;

/** How the pause grows with what an epoch wrote, with live rounds and without. */
export const liveSuite: Suite = {
  name: 'live',
  title: 'The pause against the dirty rate',
  about: `A guest of 512 MiB under TCG that writes one scattered page after the other, at a pace set
from outside; epochs of a second, so that the rate is the number of dirty pages. Epochs with live
rounds and without take turns in one process, each by the primary's own capture and encoder; what
is encoded is dropped. "Work after" is the encoding that is left when the guest runs again. QEMU
itself took, of an idle guest with nothing else to do (second percentile of 500 pauses, apart from
this run): 0.34 ms to stop, 1.4 to save device state, 0.3 to go on. Half a millisecond of the saving
went into reading the command, byte by byte with seven system calls each; it is read before the
pause now, and such pauses took 1.84 ms where they took 2.41 by turns. Beside work that leaves a QEMU
asleep between pauses its \`stop\` took 1.0 ms; woken just before, 0.6. What is left is QEMU's:
pausing the vCPU, draining, and serialising.`,
  rowIds: ratesPerSecond.flatMap((rate) => [`live.${rate}`, `live-none.${rate}`]),
  run: async ({ quick, progress }: SuiteOptions): Promise<Row[]> => {
    const ids = liveSuite.rowIds.filter((id) => id.startsWith('live.'));
    return await attempt(ids, () =>
      withCountingGuest(512 * mib, regionPages, async ({ guest, setPace }) => {
        const tracker = WriteProtectTracker.open(guest.tracked);
        try {
          const pauses = await LivePauses.open(guest, tracker, 512 * mib);
          const rows: Row[] = [];
          for (const rate of ratesPerSecond) {
            progress(`live: ${rate} pages a second`);
            await setPace(1.1 * rate);
            rows.push(...rowsOf(rate, await pauses.measure(epochMs, quick ? 3 : 30)));
          }
          return rows;
        } finally {
          tracker.close();
        }
      }),
    );
  },
};

/** Where a pause goes, one after the other. */
const phases = [
  ['stop', 'stop'],
  ['scan', 'scan'],
  ['copy', 'copy'],
  ['device', 'device state, beyond the copy'],
  ['resume', 'cont'],
] as const;

function rowsOf(rate: number, { live, none }: PausePair): Row[] {
  const per = `${rate.toLocaleString('en-US')} pages a second`;
  const values = (epochs: readonly PausedEpoch[], key: EpochNumber): number[] =>
    epochs.map((epoch) => epoch[key]);
  const written = Math.round(median(values([...live, ...none], 'dirtyPages')));
  const ratios = live.map(({ pauseMs }, i) => pauseMs / none[i]!.pauseMs);
  return [
    {
      ...{ id: `live.${rate}`, what: `Pause with live rounds, ${per}`, unit: 'ms' },
      ...{ values: values(live, 'pauseMs'), against: { id: `live-none.${rate}`, ratios } },
      note: `${written} dirty pages an epoch`,
    },
    ...phases.map(([phase, what]) => ({
      ...{ id: `live-${phase}.${rate}`, what: `Of it, ${per}: ${what}`, unit: 'ms' as const },
      values: live.map(({ phasesMs }) => phasesMs[phase]),
    })),
    {
      ...{ id: `live-none.${rate}`, what: `Pause without, ${per}`, unit: 'ms' },
      values: values(none, 'pauseMs'),
    },
    {
      ...{ id: `live-pages.${rate}`, what: `Pages copied in the pause, with, ${per}` },
      ...{ unit: 'pages', values: values(live, 'pausedPages') },
    },
    {
      ...{ id: `live-after.${rate}`, what: `Work after the pause, with, ${per}`, unit: 'ms' },
      values: values(live, 'workAfterMs'),
    },
    {
      ...{ id: `live-none-after.${rate}`, what: `Work after, without, ${per}`, unit: 'ms' },
      values: values(none, 'workAfterMs'),
    },
  ];
}
