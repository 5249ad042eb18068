import { EpochEncoder } from '../../primary/pipeline/epoch-encoder.ts';
import { type WorkloadName, workloadNames } from '../../shared/guest/workload/catalog.ts';
import { epoch, pageBytes } from '../../shared/ids.ts';
import { defaultEncoder } from '../encoder-options.ts';
import {
  type EpochSize,
  encodeEpoch,
  heldSearchRowIds,
  measureHeldSearch,
  warmUpEpochs,
} from '../held-search.ts';
import { isMeasured, type MeasuredRow, median, type Row } from '../row.ts';
import type { Suite, SuiteOptions } from '../suite.ts';
import { SyntheticEpochs } from '../synthetic-epochs.ts';

const mib = 2 ** 20;

/**
 * Dirty pages a second through identify, share, compress and chunking, on one thread, and what
 * is left of their bytes.
 */
export const pipelineSuite: Suite = {
  name: 'pipeline',
  title: 'The pipeline, page by page',
  about: `The encoder with its default settings (64-byte blocks, XXH3, sharing, differences, lz4)
on one thread, fed by synthetic guests. Each epoch's pages were written by the guest and copied
into the capture buffer just before, and are encoded once: nothing is measured on data that was
encoded before. "Bytes left" are the chunk payloads over whole pages. Where the time goes,
by \`perf\` (997 Hz, apart from this run): of log lines 78 % in LZ4 itself, 19 % in all kernels together
(hash, sharing, WKdm tried), 3 % in copying, 1 % in JavaScript; of whole new pages 40, 53, 6 and 1 %.
So log lines are bound by LZ4, whose speed of groups is in "Compress": no kernel can bring them to
150,000 pages a second. A link that is fast enough makes \`compress.general: auto\` leave LZ4 out.
The last rows are what it brings to look for blocks in all that the backup holds, and what it costs
where hardly anything is found: encoders with and without it take turns on the same epochs.`,
  rowIds: ['pipeline.sync', 'pipeline.mix', 'pipeline.slowest', ...heldSearchRowIds],
  run: async ({ quick, progress }: SuiteOptions): Promise<Row[]> => {
    const size = quick ? quickSize : fullSize;
    const rows: Row[] = [];
    for (const workload of [...workloadNames, 'mix'] as const) {
      progress(`pipeline: ${workload}`);
      rows.push(...(await measureWorkload(workload, size)));
    }
    progress('pipeline: first synchronisation');
    rows.push(...(await measureSync(size)));
    progress('pipeline: the search in all that the backup holds');
    return [slowestOf(rows), ...rows, ...(await measureHeldSearch(size))];
  },
};

const fullSize: EpochSize = { memoryBytes: 256 * mib, epochPages: 4000, epochs: 15 };
const quickSize: EpochSize = { memoryBytes: 32 * mib, epochPages: 500, epochs: 4 };
const whats: Readonly<Record<WorkloadName | 'mix', string>> = {
  sequential: 'whole new pages, in order',
  random: 'eight bytes anywhere',
  'hot-spot': 'pieces of structures, by Zipf’s law',
  'key-value': 'key-value store',
  zeroing: 'pages taken into use and zeroed',
  text: 'log lines',
  mix: 'key-value store with some of all others',
};

async function measureWorkload(name: WorkloadName | 'mix', size: EpochSize): Promise<Row[]> {
  const { memoryBytes, epochPages, epochs } = size;
  const source =
    name === 'mix' ? new SyntheticEpochs(memoryBytes) : SyntheticEpochs.of(name, memoryBytes);
  const options = defaultEncoder(source.pageCount);
  const encoder = await EpochEncoder.create(options, source.guest.memory);
  source.identifyAll(encoder);
  source.run(1);
  const rates: number[] = [];
  const shares: number[] = [];
  for (let i = 1; i <= warmUpEpochs + epochs; i++) {
    source.run(epochPages);
    const count = source.capture(encoder);
    const { ms, bytes } = encodeEpoch(encoder, i, count);
    if (i <= warmUpEpochs) continue;
    rates.push((count / ms) * 1000);
    shares.push(bytes / (count * pageBytes));
  }
  const what = whats[name];
  return [
    { id: `pipeline.${name}`, what: `Encode: ${what}`, unit: 'pages/s', values: rates },
    { id: `pipeline-share.${name}`, what: `Bytes left: ${what}`, unit: 'share', values: shares },
  ];
}

/** Everything that is not a hole, as when a backup joins that holds nothing. */
async function measureSync({ memoryBytes, epochs }: EpochSize): Promise<Row[]> {
  const rates: number[] = [];
  const shares: number[] = [];
  const { memory } = new SyntheticEpochs(memoryBytes).guest;
  for (let i = 0; i < Math.max(1, epochs >> 2); i++) {
    const encoder = await EpochEncoder.create(defaultEncoder(memory.pageCount), memory);
    encoder.begin(epoch(1));
    let pages = 0;
    let ms = 0;
    let bytes = 0;
    let run = memory.nextData(0);
    while (run !== undefined) {
      for (let first = run.first; first < run.end; first += encoder.captureCapacityPages) {
        const count = Math.min(encoder.captureCapacityPages, run.end - first);
        for (let slot = 0; slot < count; slot++) encoder.capturePages[slot] = first + slot;
        memory.readRange(first, count, encoder.captureBuffer, 0);
        const startedAt = performance.now();
        for (const payload of encoder.encode(count)) bytes += payload.length;
        ms += performance.now() - startedAt;
        pages += count;
      }
      run = memory.nextData(run.end);
    }
    encoder.finish();
    rates.push((pages / ms) * 1000);
    shares.push(bytes / (pages * pageBytes));
  }
  const what = 'all of a fresh guest, to an empty backup';
  return [
    { id: 'pipeline.sync', what: `Encode: ${what}`, unit: 'pages/s', values: rates },
    { id: 'pipeline-share.sync', what: `Bytes left: ${what}`, unit: 'share', values: shares },
  ];
}

/** No workload may hide behind the others: the slowest is named beside the target. */
function slowestOf(rows: readonly Row[]): Row {
  const measured = rows.filter(
    (row): row is MeasuredRow => row.id.startsWith('pipeline.') && isMeasured(row),
  );
  const slowest = measured.reduce((a, b) => (median(a.values) <= median(b.values) ? a : b));
  const note = slowest.what.replace('Encode: ', '');
  return { ...slowest, id: 'pipeline.slowest', what: 'Encode: the slowest of those below', note };
}
