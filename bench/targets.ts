import { formatRatio, formatValue } from './amounts.ts';
import { isMeasured, type MeasuredRow, median, quantile, type Row } from './row.ts';

/** A number to reach, and how it came out. */
export interface Verdict {
  readonly target: string;
  /** In words, with the numbers; the reason where it was not measured. */
  readonly measured: string;
  readonly verdict: 'met' | 'not met' | 'not measured';
}

/** Judges every number to reach by the rows of one run. */
export function judge(rows: readonly Row[]): Verdict[] {
  const byId = new Map(rows.map((row) => [row.id, row]));
  return targets.map((target) => {
    const wanted = target.rows.map((id) => byId.get(id));
    const missing = target.rows.find((_, i) => wanted[i] === undefined || !isMeasured(wanted[i]));
    if (missing !== undefined) {
      const row = byId.get(missing);
      const why = row !== undefined && !isMeasured(row) ? row.notRun : 'not in this run';
      return { target: target.text, measured: `${missing}: ${why}`, verdict: 'not measured' };
    }
    const { measured, met } = target.judge(wanted as MeasuredRow[]);
    return { target: target.text, measured, verdict: met ? 'met' : 'not met' };
  });
}

interface Target {
  readonly text: string;
  /** Rows that the verdict rests on. */
  readonly rows: readonly string[];
  readonly judge: (rows: readonly MeasuredRow[]) => { measured: string; met: boolean };
}

const sequentialLoads = ['seq-read', 'seq-write'];
const deepLoads = ['4k-read-32', '4k-write-32'];

/** The numbers to reach of the project's issues, line by line. */
const targets: readonly Target[] = [
  {
    text: 'XXH3, one call a batch: at least 12 times `xxhash-wasm` called once a block',
    rows: ['hash.xxh3-batch'],
    judge: ([row]) => {
      const ratio = ratioOf(row!, 'hash.xxhash-wasm-block');
      return { measured: `${formatRatio(ratio)} times`, met: ratio >= 12 };
    },
  },
  {
    text: 'XXH3, one call a batch: at least 0.8 of a native XXH3 loop, or 9 GB/s',
    rows: ['hash.xxh3-batch-native'],
    judge: ([row]) => {
      const ratio = ratioOf(row!, 'native.xxh3');
      const rate = median(row!.values);
      const measured = `${formatRatio(ratio)} of native, ${formatValue(rate, 'GB/s')}`;
      return { measured, met: ratio >= 0.8 || rate >= 9 };
    },
  },
  {
    text: 'WKdm compresses and decompresses guest pages at 1.5 GB/s at least',
    rows: ['compress.wkdm', 'decompress.wkdm'],
    judge: (rows) => {
      const rates = rows.map(({ values }) => median(values));
      const measured = rates.map((rate) => formatValue(rate, 'GB/s')).join(' and ');
      return { measured, met: rates.every((rate) => rate >= 1.5) };
    },
  },
  {
    text: 'Zero-run takes sparse pages at 5 GB/s at least',
    rows: ['compress.zero-run'],
    judge: ([row]) => {
      const rate = median(row!.values);
      return { measured: formatValue(rate, 'GB/s'), met: rate >= 5 };
    },
  },
  pipelineAtLeast(
    'The pipeline: at least 100,000 dirty pages a second on one core, first pass over the data',
    100_000,
  ),
  pipelineAtLeast(
    'The pipeline, whatever it is given: 150,000 pages a second on one core',
    150_000,
  ),
  {
    text: 'The pipeline on two cores: at least 1.7 times what it does on one',
    rows: ['threads.mix-2', 'threads.text-2', 'threads.sequential-2'],
    judge: (rows) => {
      const ratios = rows.map((row) => ratioOf(row, row.id.replace('-2', '-1')));
      const [mix, text, sequential] = ratios.map(formatRatio);
      const measured = `key-value mix ${mix} times, log lines ${text}, whole new pages ${sequential}`;
      return { measured, met: ratios.every((ratio) => ratio >= 1.7) };
    },
  },
  {
    text: 'Pause: at most twice the sum of its floor in the same run',
    rows: ['pause.idle', 'pause.key-value', 'pause.agent-idle'],
    judge: (rows) => {
      const floors = ['pause-floor.idle', 'pause-floor.key-value', 'pause-floor.idle'];
      const ratios = rows.map((row, i) => ratioOf(row, floors[i]!));
      const [idle, keyValue, agent] = ratios.map(formatRatio);
      const measured = `idle ${idle}, key-value ${keyValue}, the agent's on an idle guest ${agent}`;
      return { measured, met: ratios.every((ratio) => ratio <= 2) };
    },
  },
  atMost('Pause on the idle lab guest of 512 MiB: a median of 5 ms at most', 'pause.agent-idle', 5),
  {
    text: 'Pause with live rounds, up to 25,000 dirty pages a second: 3 ms median, 10 ms at 99 %',
    rows: ['live.1000', 'live.5000', 'live.25000'],
    judge: (rows) => {
      const middles = rows.map(({ values }) => median(values));
      const highs = rows.map(({ values }) => quantile(values, 0.99));
      const each = middles.map(
        (ms, i) => `${formatValue(ms, 'ms')} and ${formatValue(highs[i]!, 'ms')}`,
      );
      const met = middles.every((ms) => ms <= 3) && highs.every((ms) => ms <= 10);
      return { measured: each.join('; '), met };
    },
  },
  {
    text: '25,000 dirty pages a second for a minute, without lag growing (by a quarter at most)',
    rows: ['sustained.pages', 'sustained.lag-first', 'sustained.lag-last'],
    judge: ([pages, first, last]) => {
      const rate = median(pages!.values);
      const [before, after] = [median(first!.values), median(last!.values)];
      const lag = `${formatValue(before, 'ms')} at first, ${formatValue(after, 'ms')} at the end`;
      const seconds = pages!.values.length;
      const measured = `${formatValue(rate, 'pages/s')} for ${seconds} s; lag ${lag}`;
      return { measured, met: rate >= 25_000 && seconds >= 55 && after <= 1.25 * before };
    },
  },
  {
    text: 'Median pause from 1,000 to 25,000 dirty pages per epoch: grows by a factor of 2 at most',
    rows: ['live.1000', 'live.25000', 'live-none.1000', 'live-none.25000'],
    judge: (rows) => {
      const [few, many, fewNone, manyNone] = rows.map(({ values }) => median(values));
      const without = formatRatio(manyNone! / fewNone!);
      const measured = `${formatRatio(many! / few!)}; without live rounds ${without}`;
      return { measured, met: many! / few! <= 2 };
    },
  },
  atMost(
    'Takeover of a warm standby after detection: 100 ms at most',
    'takeover.after-detection',
    100,
  ),
  {
    text: 'Switchover: a client of the key-value guest waits at most 100 ms',
    rows: ['switchover.pair'],
    judge: ([row]) => {
      const waited = median(row!.values);
      const ratio = formatRatio(ratioOf(row!, 'switchover.qemu'));
      const measured = `${formatValue(waited, 'ms')}, ${ratio} times what QEMU alone takes`;
      return { measured, met: waited <= 100 };
    },
  },
  atMost(
    'Wire bytes: at most a third of page-granularity bytes, key-value guest, 100 ms epochs',
    'wire.key-value',
    1 / 3,
  ),
  {
    text: 'Memory beside the guest: at most 25 % of guest RAM plus 200 MiB on the primary',
    rows: ['memory.primary', 'memory.primary-4gib'],
    judge: (rows) => {
      const limits = [1024, 4096].map((ramMib) => ramMib / 4 + 200);
      const peaks = rows.map((row) => Math.max(...row.values));
      const measured = peaks
        .map((peak, i) => `${formatValue(peak, 'MiB')} of ${limits[i]} MiB`)
        .join(' at 1 GiB, ');
      return { measured: `${measured} at 4 GiB`, met: peaks.every((p, i) => p <= limits[i]!) };
    },
  },
  {
    text: 'A 1 GiB guest works; 4 GiB works in principle and one run shows it',
    rows: ['works.1gib', 'works.4gib'],
    judge: (rows) => ({
      measured: rows.map((row) => `${row.note}`).join('; '),
      met: rows.every((row) => row.values.every((share) => share === 1)),
    }),
  },
  ofQemuNbd('Disk, sequential: at least 0.6 of qemu-nbd', 'disk', sequentialLoads, 0.6),
  ofQemuNbd('Disk, 4 KiB at queue depth 32: at least 0.5 of qemu-nbd', 'disk', deepLoads, 0.5),
  ofQemuNbd(
    'Disk with every change logged: at least 0.4 of qemu-nbd',
    'disk-logged',
    [...sequentialLoads, ...deepLoads],
    0.4,
  ),
  ofQemuNbd(
    'Disk replicated to a backup: at least 0.4 of qemu-nbd',
    'disk-replicated',
    [...sequentialLoads, ...deepLoads],
    0.4,
    'qemu-nbd-beside',
  ),
  atMost(
    'Resynchronising a returned host: bytes sent at most 1.2 times what differs',
    'disk-resync.sent',
    1.2,
  ),
  {
    text: 'Takeover with a disk: at most 50 ms more than without',
    rows: ['takeover-disk.with', 'takeover-disk.without'],
    judge: ([withDisk, without]) => {
      const more = median(withDisk!.values) - median(without!.values);
      return { measured: `${formatValue(more, 'ms')} more`, met: more <= 50 };
    },
  },
];

/** Every workload counts: the slowest one decides. */
function pipelineAtLeast(text: string, least: number): Target {
  return {
    text,
    rows: ['pipeline.sync', 'pipeline.mix', 'pipeline.slowest'],
    judge: (rows) => {
      const middles = rows.map(({ values }) => median(values));
      const [sync, mix, slowest] = middles.map((rate) => formatValue(rate, 'pages/s'));
      const worst = `${slowest} with ${rows[2]!.note}`;
      return {
        measured: `all of a guest ${sync}, key-value mix ${mix}; slowest ${worst}`,
        met: middles.every((rate) => rate >= least),
      };
    },
  };
}

function ofQemuNbd(
  text: string,
  who: string,
  loads: readonly string[],
  least: number,
  other = 'qemu-nbd',
): Target {
  return {
    text,
    rows: loads.map((load) => `${who}.${load}`),
    judge: (rows) => {
      const ratios = rows.map((row, i) => ratioOf(row, `${other}.${loads[i]}`));
      const measured = ratios.map((ratio, i) => `${loads[i]} ${formatRatio(ratio)}`).join(', ');
      return { measured, met: ratios.every((ratio) => ratio >= least) };
    },
  };
}

function atMost(text: string, id: string, limit: number): Target {
  return {
    text,
    rows: [id],
    judge: ([row]) => {
      const value = median(row!.values);
      return { measured: formatValue(value, row!.unit), met: value <= limit };
    },
  };
}

function ratioOf(row: MeasuredRow, other: string): number {
  if (row.against?.id !== other) throw new Error(`${row.id} is not compared with ${other}`);
  return median(row.against.ratios);
}
