import { WriteProtectTracker } from '../../primary/capture/write-protect.ts';
import { attempt } from '../attempt.ts';
import { withCountingGuest } from '../counting-guest.ts';
import { type EpochNumber, LivePauses, type PausedEpoch, type PausePair } from '../live-pauses.ts';
import { type MeasuredRow, median, type Row } from '../row.ts';
import { slopeOf } from '../slope.ts';
import type { Suite, SuiteOptions } from '../suite.ts';

const mib = 2 ** 20;
const epochMs = 1000;
/** Pages per epoch, in a guest of 1 GiB. */
const pageCounts = [100, 1000, 10_000, 100_000] as const;
/** MiB of RAM, at 1,000 pages an epoch. */
const memorySizes = [256, 512, 1024, 2048, 4096] as const;
const steadyPages = 1000;

/** What is measured of each epoch. */
const costs = {
  live: { what: 'Pause with live rounds', of: ({ live }: PausePair) => values(live, 'pauseMs') },
  none: { what: 'Pause without', of: ({ none }: PausePair) => values(none, 'pauseMs') },
  encode: { what: 'Encoding', of: ({ none }: PausePair) => values(none, 'workAfterMs') },
} as const;
type Cost = keyof typeof costs;
const kinds = Object.keys(costs) as Cost[];

/** How the cost of an epoch grows with what the guest wrote, and with how much memory it has. */
export const scaleSuite: Suite = {
  name: 'scale',
  title: 'Cost against work',
  about: `A guest under TCG that writes scattered pages at a pace set from outside; epochs of a second, so
that the pace is the number of pages per epoch. First in a guest of 1 GiB that writes more and more
of it, then at 1,000 pages an epoch in guests of more and more memory. Captured by the primary's own
parts, encoded by one thread; what is encoded is dropped.`,
  rowIds: [
    ...pageCounts.flatMap((count) => kinds.map((kind) => pagesId(kind, count))),
    ...memorySizes.flatMap((size) => kinds.map((kind) => memoryId(kind, size))),
  ],
  charts: [
    {
      name: 'scale-pages',
      title: 'Cost of an epoch against the pages that were written (1 GiB of RAM)',
      groups: pageCounts.map((count) => ({
        label: `${count.toLocaleString('en-US')} pages`,
        rowIds: kinds.map((kind) => pagesId(kind, count)),
      })),
      names: kinds.map((kind) => costs[kind].what),
    },
    {
      name: 'scale-memory',
      title: 'Cost of an epoch of 1,000 pages against RAM',
      groups: memorySizes.map((size) => ({
        label: `${size} MiB`,
        rowIds: kinds.map((kind) => memoryId(kind, size)),
      })),
      names: kinds.map((kind) => costs[kind].what),
    },
  ],
  run: async ({ quick, progress }: SuiteOptions): Promise<Row[]> => {
    const epochs = quick ? 2 : 12;
    const counts = quick ? pageCounts.slice(0, 2) : pageCounts;
    const sizes = quick ? memorySizes.slice(0, 2) : memorySizes;
    const byPages = await attempt(
      counts.map((count) => pagesId('live', count)),
      async () => {
        const pairs: PausePair[] = [];
        await withPauses(1024, 131_072, async (pauses, setPace) => {
          for (const count of counts) {
            progress(`scale: ${count} pages an epoch`);
            await setPace(count);
            pairs.push(await pauses.measure(epochMs, epochs));
          }
        });
        return rowsOf(pairs, counts, pagesId, (count) => `${count.toLocaleString('en-US')} pages`);
      },
    );
    const byMemory = await attempt(
      sizes.map((size) => memoryId('live', size)),
      async () => {
        const pairs: PausePair[] = [];
        for (const size of sizes) {
          progress(`scale: ${size} MiB of RAM`);
          await withPauses(size, 16_384, async (pauses, setPace) => {
            await setPace(steadyPages);
            pairs.push(await pauses.measure(epochMs, epochs));
          });
        }
        return rowsOf(pairs, sizes, memoryId, (size) => `${size} MiB of RAM`);
      },
    );
    return [...byPages, ...byMemory];
  },
};

async function withPauses(
  memoryMib: number,
  regionPages: number,
  use: (pauses: LivePauses, setPace: (pages: number) => Promise<number>) => Promise<void>,
): Promise<void> {
  await withCountingGuest(memoryMib * mib, regionPages, async ({ guest, setPace }) => {
    const tracker = WriteProtectTracker.open(guest.tracked);
    try {
      // All that it writes, and what firmware and stack take.
      const captureBytes = Math.min(memoryMib, 1024) * mib;
      await use(await LivePauses.open(guest, tracker, captureBytes), setPace);
    } finally {
      tracker.close();
    }
  });
}

function rowsOf(
  pairs: readonly PausePair[],
  steps: readonly number[],
  idOf: (kind: Cost, step: number) => string,
  describe: (step: number) => string,
): Row[] {
  return kinds.flatMap((kind) => {
    const { what, of } = costs[kind];
    const rows = pairs.map((pair, at): MeasuredRow => {
      const step = steps[at]!;
      const written = Math.round(median(values([...pair.live, ...pair.none], 'dirtyPages')));
      return {
        ...{ id: idOf(kind, step), what: `${what}, ${describe(step)}`, unit: 'ms' },
        ...{ values: of(pair), note: `${written.toLocaleString('en-US')} dirty pages an epoch` },
      };
    });
    const last = rows.at(-1)!;
    const medians = rows.map((row) => median(row.values));
    const slope = slopeOf(steps.slice(0, rows.length), medians);
    const words = `grows with the power ${slope.toFixed(2)} from the first to the last`;
    return [...rows.slice(0, -1), { ...last, note: `${last.note}; ${words}` }];
  });
}

function values(epochs: readonly PausedEpoch[], key: EpochNumber): number[] {
  return epochs.map((epoch) => epoch[key]);
}

function pagesId(kind: Cost, count: number): string {
  return `scale-pages.${kind}-${count}`;
}

function memoryId(kind: Cost, size: number): string {
  return `scale-memory.${kind}-${size}`;
}
