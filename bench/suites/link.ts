import { CodecPolicy } from '../../primary/pipeline/codec-policy.ts';
import { EpochEncoder } from '../../primary/pipeline/epoch-encoder.ts';
import { EpochCodecs } from '../../primary/session/epoch-codecs.ts';
import type { GeneralCodec } from '../../shared/codec/codec-settings.ts';
import { epoch, pageBytes } from '../../shared/ids.ts';
import { defaultEncoder } from '../encoder-options.ts';
import { compareRows, type MeasuredRow, type Row } from '../row.ts';
import type { Suite, SuiteOptions } from '../suite.ts';
import { SyntheticEpochs } from '../synthetic-epochs.ts';

const mib = 2 ** 20;

/** What `compress.general: auto` comes to on slow and fast links, beside each codec for itself. */
export const linkSuite: Suite = {
  name: 'link',
  title: 'The codec for the link',
  about: `Epochs of log lines and new pages of programs and tables, the same ones for each codec, on
one thread, over links of three speeds. Encoding is done and timed; the link is a model that carries
chunks one after the other at its speed, each from when it was made on, and answers after a
millisecond. "Acknowledged" is the time from the start of an epoch to its acknowledgement; the next
one starts then. \`auto\` knows nothing at first: the epochs in which it learns are not counted.`,
  rowIds: ['link-4.auto', 'link-40.auto', 'link-1000.auto'],
  run: async ({ quick, progress }: SuiteOptions): Promise<Row[]> => {
    const rows: Row[] = [];
    for (const megabytes of [4, 40, 1000]) {
      progress(`link: ${megabytes} MB/s`);
      rows.push(...(await measureLink(megabytes, quick)));
    }
    return rows;
  },
};

type Contender = GeneralCodec | 'auto';
const contenders: readonly Contender[] = ['lz4', 'gzip', 'none', 'auto'];
const latencyMs = 1;
const learningEpochs = 40;

async function measureLink(megabytes: number, quick: boolean): Promise<Row[]> {
  const rows: Row[] = [];
  let lz4: MeasuredRow | undefined;
  for (const contender of contenders) {
    const { epochMs, shares, chosen } = await measure(contender, megabytes * 1e6, quick);
    const id = `link-${megabytes}.${contender}`;
    const what = `Acknowledged at ${megabytes} MB/s: ${contender}`;
    const row: MeasuredRow = { id, what, unit: 'ms', values: epochMs, note: chosen };
    lz4 ??= row;
    rows.push(row === lz4 ? row : { ...row, against: compareRows(row, lz4) });
    const share = `Bytes left at ${megabytes} MB/s: ${contender}`;
    rows.push({ id: `${id}-share`, what: share, unit: 'share', values: shares });
  }
  return rows;
}

async function measure(contender: Contender, linkBytesPerSecond: number, quick: boolean) {
  const epochs = quick ? 3 : 20;
  const source = new SyntheticEpochs((quick ? 32 : 128) * mib, [
    { workload: 'text', share: 0.3, writesPerSecond: 20_000 },
    { workload: 'sequential', share: 0.3, writesPerSecond: 2_000 },
  ]);
  const fixed = contender === 'auto' ? 'lz4' : contender;
  const encoder = await EpochEncoder.create({
    ...defaultEncoder(source.pageCount),
    generalCodec: fixed,
  });
  source.identifyAll(encoder);
  const policy = new CodecPolicy({ gzipLevelMax: 6, threads: 1 });
  const codecs = contender === 'auto' ? new EpochCodecs(policy, () => {}) : undefined;
  const epochMs: number[] = [];
  const shares: number[] = [];
  let nowMs = 0;
  for (let number = 1; number <= learningEpochs + epochs; number++) {
    source.run(quick ? 300 : 1000);
    const count = source.capture(encoder);
    const startedAtMs = nowMs;
    let freeAtMs = nowMs;
    let bytes = 0;
    encoder.begin(epoch(number), codecs?.begin(nowMs));
    let mark = performance.now();
    for (const payload of encoder.encode(count)) {
      nowMs += performance.now() - mark;
      bytes += payload.length;
      freeAtMs = Math.max(freeAtMs, nowMs) + (payload.length / linkBytesPerSecond) * 1000;
      mark = performance.now();
    }
    const { stats } = encoder.finish();
    nowMs += performance.now() - mark;
    codecs?.sent(epoch(number), bytes, stats, nowMs);
    nowMs = Math.max(nowMs, freeAtMs) + latencyMs;
    codecs?.acknowledged(epoch(number), nowMs);
    if (number <= learningEpochs) continue;
    epochMs.push(nowMs - startedAtMs);
    shares.push(bytes / (count * pageBytes));
  }
  const chosen = codecs === undefined ? contender : policy.verdict.name;
  return { epochMs, shares, chosen };
}
