import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { EpochDecoder } from '../../backup/decode/epoch-decoder.ts';
import { ReplicaStore } from '../../backup/store/replica-store.ts';
import { EpochEncoder } from '../../primary/pipeline/epoch-encoder.ts';
import { epoch, type GuestName, sessionId, term } from '../../shared/ids.ts';
import { RamFile } from '../../shared/memory/ram-file.ts';
import { defaultEncoder } from '../encoder-options.ts';
import type { Row } from '../row.ts';
import type { Suite, SuiteOptions } from '../suite.ts';
import { SyntheticEpochs } from '../synthetic-epochs.ts';

const mib = 2 ** 20;

/** Pages a second that the backup takes in: decoded, verified, staged, and applied to RAM. */
export const applySuite: Suite = {
  name: 'apply',
  title: 'The backup, page by page',
  about: `Chunks of the key-value mix, made by the encoder just before, go through the backup's
decoder and store on one thread: decoding with digests of each page, staging in the journal on
tmpfs, the check of the RAM digest, the state record, and the writes to the RAM file on tmpfs.
The network is not part of it.`,
  rowIds: ['apply.delta', 'apply.sync'],
  run: async (options: SuiteOptions): Promise<Row[]> => {
    const folder = mkdtempSync('/dev/shm/understudy-bench-');
    try {
      return await measureApply(folder, options);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

const session = sessionId('00000000000000be');
const guestName = 'bench' as GuestName;
const warmUpEpochs = 4;

async function measureApply(folder: string, { quick }: SuiteOptions): Promise<Row[]> {
  const memoryBytes = (quick ? 32 : 256) * mib;
  const epochs = warmUpEpochs + (quick ? 3 : 20);
  const source = new SyntheticEpochs(memoryBytes);
  const settings = defaultEncoder(source.pageCount);
  const encoder = await EpochEncoder.create(settings);
  const memory = RamFile.create(join(folder, 'ram'), memoryBytes);
  const decoder = await EpochDecoder.create(settings);
  const guest = guestName;
  const store = await ReplicaStore.open({ folder, guest, memory, stagingBytesMax: memoryBytes });
  const backup = { store, decoder };
  try {
    await store.prepareSession(settings);
    encoder.adoptZeros(0, source.pageCount);
    source.run(1);
    const first = await applyEpoch(backup, 1, encodeAll(encoder, source));
    const rates: number[] = [];
    for (let number = 2; number < 2 + epochs; number++) {
      source.run(quick ? 500 : 4000);
      encoder.begin(epoch(number));
      const chunks = takeChunks(encoder, source.capture(encoder));
      const rate = await applyEpoch(backup, number, { chunks, ...encoder.finish() });
      if (number >= 2 + warmUpEpochs) rates.push(rate);
    }
    return [
      { id: 'apply.delta', what: 'Epochs of the key-value mix', unit: 'pages/s', values: rates },
      { id: 'apply.sync', what: 'First synchronisation', unit: 'pages/s', values: [first] },
    ];
  } finally {
    store.close();
    memory.close();
  }
}

interface Backup {
  readonly store: ReplicaStore;
  readonly decoder: EpochDecoder;
}

interface Encoded {
  readonly chunks: readonly Uint8Array[];
  readonly ramDigest: bigint;
  readonly stats: { readonly changedPages: number };
}

/** Pages a second. */
async function applyEpoch(backup: Backup, number: number, encoded: Encoded): Promise<number> {
  const { store, decoder } = backup;
  const startedAt = performance.now();
  const kind = number === 1 ? 'sync' : 'delta';
  store.begin({ session, epoch: epoch(number), term: term(1), kind });
  for (const chunk of encoded.chunks) decoder.decode(chunk, store, store);
  store.setDeviceState(new Uint8Array(14 * 1024));
  if (number === 1) store.setBaseline(new Uint8Array(320 * 1024));
  await store.commit({ ramDigest: encoded.ramDigest });
  return (encoded.stats.changedPages / (performance.now() - startedAt)) * 1000;
}

function encodeAll(encoder: EpochEncoder, source: SyntheticEpochs): Encoded {
  const { memory } = source.guest;
  const chunks: Uint8Array[] = [];
  encoder.begin(epoch(1));
  let run = memory.nextData(0);
  while (run !== undefined) {
    for (let at = run.first; at < run.end; at += encoder.captureCapacityPages) {
      const count = Math.min(encoder.captureCapacityPages, run.end - at);
      for (let slot = 0; slot < count; slot++) encoder.capturePages[slot] = at + slot;
      memory.readRange(at, count, encoder.captureBuffer, 0);
      chunks.push(...takeChunks(encoder, count));
    }
    run = memory.nextData(run.end);
  }
  return { chunks, ...encoder.finish() };
}

/** A payload is the encoder's own until the next one: these are copies. */
function takeChunks(encoder: EpochEncoder, count: number): Uint8Array[] {
  return Array.from(encoder.encode(count), (payload) => payload.slice());
}
