import { CaptureSlots } from '../../primary/capture/capture-slots.ts';
import { ThreadEncoder } from '../../primary/pipeline/thread-encoder.ts';
import { indexMemory } from '../../primary/session/level.ts';
import { monotonicClock } from '../../shared/clock.ts';
import { epoch, pageBytes } from '../../shared/ids.ts';
import { defaultEncoder } from '../encoder-options.ts';
import { compareRows, type MeasuredRow, type Row } from '../row.ts';
import type { Suite, SuiteOptions } from '../suite.ts';
import { SyntheticEpochs } from '../synthetic-epochs.ts';
import { floorRowIds, measureThreadFloor } from '../thread-floor.ts';

const mib = 2 ** 20;

const whats = { mix: 'key-value mix', text: 'log lines', sequential: 'whole new pages' } as const;
type Name = keyof typeof whats;

/** What a second core adds to encoding, and what it costs in bytes. */
export const threadsSuite: Suite = {
  name: 'threads',
  title: 'The pipeline, one core against two',
  about: `The encoder as a session runs it, with one thread and with two, each with its part of the
hash index. Both get the same epochs of the same guest, in turn; an epoch is timed from its first
page handed over to its last chunk taken, by the thread that hands over. "Bytes left" are the chunk
payloads over whole pages: equal blocks are found within a thread's part of the memory only, and,
for want of a RAM file, not in all that the backup holds. The last rows are what the machine itself
gives two threads that share nothing.`,
  rowIds: [...Object.keys(whats).map((name) => `threads.${name}-2`), ...floorRowIds],
  run: async ({ quick, progress }: SuiteOptions): Promise<Row[]> => {
    const rows: Row[] = [];
    for (const name of Object.keys(whats) as Name[]) {
      progress(`threads: ${whats[name]}`);
      rows.push(...(await measureWorkload(name, quick ? quickSize : fullSize)));
    }
    progress('threads: two that share nothing');
    rows.push(...(await measureThreadFloor(quick ? 3 : 25, quick ? 20 : 100)));
    return rows;
  },
};

interface Size {
  readonly memoryBytes: number;
  /** Dirty pages that an epoch has at least. */
  readonly epochPages: number;
  readonly epochs: number;
}

const fullSize: Size = { memoryBytes: 256 * mib, epochPages: 6000, epochs: 25 };
const quickSize: Size = { memoryBytes: 64 * mib, epochPages: 1000, epochs: 3 };
/** The first epochs run code that the compiler has not finished with. */
const warmUpEpochs = 5;

async function measureWorkload(name: Name, size: Size): Promise<Row[]> {
  const { memoryBytes, epochPages, epochs } = size;
  const source =
    name === 'mix' ? new SyntheticEpochs(memoryBytes) : SyntheticEpochs.of(name, memoryBytes);
  const contenders: Contender[] = [];
  try {
    for (const threads of [1, 2]) contenders.push(await Contender.open(source, threads));
    source.run(1);
    for (let number = 1; number <= warmUpEpochs + epochs; number++) {
      source.run(epochPages);
      const inTurn = number % 2 === 0 ? contenders : [...contenders].reverse();
      for (const contender of inTurn) {
        await contender.encode(source, number, number > warmUpEpochs);
      }
    }
  } finally {
    for (const contender of contenders) await contender.close();
  }
  const what = whats[name];
  const [one, two] = contenders.map(({ threads, rates }): MeasuredRow => {
    const cores = threads === 1 ? 'one thread' : `${threads} threads`;
    const id = `threads.${name}-${threads}`;
    return { id, what: `Encode: ${what}, ${cores}`, unit: 'pages/s', values: rates };
  });
  const [oneLeft, twoLeft] = contenders.map(({ threads, shares }): MeasuredRow => {
    const id = `threads-share.${name}-${threads}`;
    return { id, what: `Bytes left: ${what}, ${threads}`, unit: 'share', values: shares };
  });
  return [
    one!,
    { ...two!, against: compareRows(two!, one!) },
    oneLeft!,
    { ...twoLeft!, against: compareRows(twoLeft!, oneLeft!) },
  ];
}

/** An encoder with so many threads, and what it measured. */
class Contender {
  readonly threads: number;
  readonly rates: number[] = [];
  readonly shares: number[] = [];
  readonly #encoder: ThreadEncoder;
  readonly #slots: CaptureSlots;

  static async open(source: SyntheticEpochs, threads: number): Promise<Contender> {
    const { memory } = source.guest;
    // No epoch overflows, whichever parts of memory it is in.
    const options = { ...defaultEncoder(source.pageCount), captureBytes: 64 * mib };
    const spaces = await ThreadEncoder.reserve(options, threads);
    const encoder = await ThreadEncoder.create(options, spaces, (error) => {
      throw error;
    });
    const slots = new CaptureSlots(memory, encoder);
    await indexMemory(memory, slots, encoder, monotonicClock, new AbortController().signal);
    return new Contender(threads, encoder, slots);
  }

  private constructor(threads: number, encoder: ThreadEncoder, slots: CaptureSlots) {
    this.threads = threads;
    this.#encoder = encoder;
    this.#slots = slots;
  }

  async encode(source: SyntheticEpochs, number: number, counts: boolean): Promise<void> {
    await source.captureInto(this.#slots);
    const pages = this.#slots.count;
    const startedAt = performance.now();
    this.#encoder.begin(epoch(number));
    let bytes = 0;
    for await (const payload of this.#encoder.encode(this.#slots.counts)) bytes += payload.length;
    await this.#encoder.finish();
    const ms = performance.now() - startedAt;
    this.#slots.clear();
    if (!counts) return;
    this.rates.push((pages / ms) * 1000);
    this.shares.push(bytes / (pages * pageBytes));
  }

  async close(): Promise<void> {
    await this.#encoder.close(new Error('measured'));
  }
}
