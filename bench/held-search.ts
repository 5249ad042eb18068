import { EpochEncoder } from '../primary/pipeline/epoch-encoder.ts';
import { epoch, pageBytes } from '../shared/ids.ts';
import { defaultEncoder } from './encoder-options.ts';
import { compareRows, type MeasuredRow } from './row.ts';
import { SyntheticEpochs } from './synthetic-epochs.ts';

export interface EpochSize {
  readonly memoryBytes: number;
  /** Dirty pages that an epoch has at least. */
  readonly epochPages: number;
  readonly epochs: number;
}

/** The first epochs run code that the compiler has not finished with. */
export const warmUpEpochs = 4;

const loads = {
  copies: 'copies of pages from anywhere, a byte changed',
  mix: 'key-value store with some of all others',
} as const;
type Load = keyof typeof loads;

export const heldSearchRowIds = (Object.keys(loads) as Load[]).map((load) => `held.${load}`);

/**
 * What it brings, and what it costs where nothing is found, to look for blocks in all that the backup
 * holds: encoders that do and that don't get the same epochs, by turns.
 */
export async function measureHeldSearch(size: EpochSize): Promise<MeasuredRow[]> {
  const rows: MeasuredRow[] = [];
  for (const load of Object.keys(loads) as Load[]) rows.push(...(await measureLoad(load, size)));
  return rows;
}

async function measureLoad(load: Load, size: EpochSize): Promise<MeasuredRow[]> {
  const { memoryBytes, epochPages, epochs } = size;
  const source = new SyntheticEpochs(memoryBytes);
  const options = defaultEncoder(source.pageCount);
  const contenders: Contender[] = [
    { encoder: await EpochEncoder.create(options), rates: [], shares: [] },
    { encoder: await EpochEncoder.create(options, source.guest.memory), rates: [], shares: [] },
  ];
  source.run(1);
  for (const { encoder } of contenders) source.identifyAll(encoder);
  for (let number = 1; number <= warmUpEpochs + epochs; number++) {
    if (load === 'copies') source.copyPages(epochPages);
    else source.run(epochPages);
    for (const contender of number % 2 === 0 ? contenders : [...contenders].reverse()) {
      const { encoder, rates, shares } = contender;
      const count = source.capture(encoder);
      const { ms, bytes } = encodeEpoch(encoder, number, count);
      if (number <= warmUpEpochs) continue;
      rates.push((count / ms) * 1000);
      shares.push(bytes / (count * pageBytes));
    }
  }
  return rowsOf(load, contenders);
}

interface Contender {
  readonly encoder: EpochEncoder;
  readonly rates: number[];
  readonly shares: number[];
}

function rowsOf(load: Load, [without, having]: readonly Contender[]): MeasuredRow[] {
  const what = loads[load];
  const rate = (id: string, words: string, { rates }: Contender): MeasuredRow => ({
    ...{ id, what: `Encode: ${what}${words}`, unit: 'pages/s', values: rates },
  });
  const left = (id: string, words: string, { shares }: Contender): MeasuredRow => ({
    ...{ id, what: `Bytes left: ${what}${words}`, unit: 'share', values: shares },
  });
  const plain = rate(`held-off.${load}`, ', without the search', without!);
  const plainLeft = left(`held-off-share.${load}`, ', without the search', without!);
  const sought = rate(`held.${load}`, ', with the search', having!);
  const soughtLeft = left(`held-share.${load}`, ', with the search', having!);
  return [
    plain,
    { ...sought, against: compareRows(sought, plain) },
    plainLeft,
    { ...soughtLeft, against: compareRows(soughtLeft, plainLeft) },
  ];
}

/** What an epoch of captured pages takes, and what is left of it. */
export function encodeEpoch(encoder: EpochEncoder, number: number, count: number) {
  const startedAt = performance.now();
  let bytes = 0;
  encoder.begin(epoch(number));
  for (const payload of encoder.encode(count)) bytes += payload.length;
  encoder.finish();
  return { ms: performance.now() - startedAt, bytes };
}
