import type { PageBatch } from '../../../backup/decode/epoch-decoder.ts';
import type { EpochStart } from '../../../backup/store/incoming-epoch.ts';
import type { ReplicaStore } from '../../../backup/store/replica-store.ts';
import { type CodecSettings, secretBytes } from '../../../shared/codec/codec-settings.ts';
import { PageDigester } from '../../../shared/codec/page-digester.ts';
import { epoch, pageBytes, sessionId, term } from '../../../shared/ids.ts';
import { Random } from '../../../shared/random.ts';
import { changeDisk, type ScriptedDisk, scriptedDiskBytes } from './scripted-disk.ts';

export interface ScriptStep {
  /** One letter a session. */
  readonly session: string;
  readonly kind: 'delta' | 'sync';
  readonly pages: number;
  readonly withBaseline?: boolean;
  /** Changes of the guest's disk; absent: it has none. */
  readonly diskChanges?: number;
  /** Each is shorter. */
  readonly diskChangeBytesMax?: number;
}

export interface ScriptedEpoch {
  readonly start: EpochStart;
  readonly settings: CodecSettings;
  readonly batches: readonly PageBatch[];
  readonly deviceState: Uint8Array;
  readonly baseline: Uint8Array | null;
  /** The baseline that counts, given with this epoch or before. */
  readonly baselineInForce: Uint8Array;
  readonly ramDigest: bigint;
  /** RAM after the epoch: valid until the next epoch is drawn. */
  readonly ram: Uint8Array;
  /** Absent where the guest has no disk. */
  readonly disk?: ScriptedDisk;
}

export const sessionNamed = (letter: string) => sessionId(letter.repeat(16));

export function settingsOf(session: string, pageCount: number): CodecSettings {
  const secret = new Uint8Array(secretBytes).map((_, i) => (i * 7 + session.charCodeAt(0)) & 255);
  return { pageCount, blockBytes: 64, hash: 'xxh3', secret };
}

/**
 * The epochs of a made-up primary: the same seed and steps give the same ones in any process, so
 * that a test knows what RAM must be without asking the store. A page may come several times in
 * an epoch, with other content; batches name pages in any order.
 */
export async function* scriptedEpochs(
  seed: number,
  pageCount: number,
  steps: Iterable<ScriptStep>,
): AsyncGenerator<ScriptedEpoch> {
  const random = new Random(seed);
  const ram = new Uint8Array(pageCount * pageBytes);
  const table = new Uint8Array(pageCount * 8);
  let digester: PageDigester | undefined;
  let session = '';
  let number = 0;
  let baselineInForce: Uint8Array = new Uint8Array(0);
  const image = new Uint8Array(scriptedDiskBytes);
  for (const step of steps) {
    const settings = settingsOf(step.session, pageCount);
    if (step.session !== session || digester === undefined) {
      digester = await PageDigester.create(settings);
      session = step.session;
      number = 0;
      for (let page = 0; page < pageCount; page++) digestPage(digester, ram, page, table);
    }
    number += 1;
    const batches = drawBatches(random, pageCount, step.pages, digester);
    for (const batch of batches) {
      for (let i = 0; i < batch.count; i++) {
        const page = batch.pages[i]!;
        ram.set(batch.images.subarray(i * pageBytes, (i + 1) * pageBytes), page * pageBytes);
        digestPage(digester, ram, page, table);
      }
    }
    const withBaseline = step.withBaseline ?? step.kind === 'sync';
    const baseline = withBaseline ? drawBytes(random, 3000 + random.below(9000)) : null;
    baselineInForce = baseline ?? baselineInForce;
    yield {
      start: {
        session: sessionNamed(session),
        epoch: epoch(number),
        term: term(3),
        kind: step.kind,
      },
      settings,
      batches,
      deviceState: drawBytes(random, 500 + random.below(9000)),
      baseline,
      baselineInForce,
      ramDigest: digester.foldRoot(table),
      ram,
      ...(step.diskChanges === undefined
        ? {}
        : { disk: changeDisk(random, image, step.diskChanges, step.diskChangeBytesMax) }),
    };
  }
}

/** Feeds an epoch to a store, as an assembler would. */
export async function deliver(store: ReplicaStore, scripted: ScriptedEpoch): Promise<void> {
  await store.prepareSession(scripted.settings);
  const { disk, start } = scripted;
  // Half of an epoch's changes run ahead of it.
  const ahead = disk?.bodies.slice(0, disk.bodies.length >> 1) ?? [];
  for (const body of ahead) await store.disks.add(start.epoch, body);
  store.begin(start);
  for (const body of disk?.bodies.slice(ahead.length) ?? [])
    await store.disks.add(start.epoch, body);
  if (disk !== undefined) store.setDiskSeal(disk.seal);
  for (const batch of scripted.batches) store.stage(batch);
  store.setDeviceState(scripted.deviceState);
  if (scripted.baseline !== null) store.setBaseline(scripted.baseline);
  await store.commit({ ramDigest: scripted.ramDigest });
}

/** Collects a script whole, each epoch with a RAM of its own. */
export async function collect(source: AsyncIterable<ScriptedEpoch>): Promise<ScriptedEpoch[]> {
  const epochs: ScriptedEpoch[] = [];
  for await (const scripted of source) epochs.push({ ...scripted, ram: scripted.ram.slice() });
  return epochs;
}

export function batchOf(
  digester: PageDigester,
  pages: readonly number[],
  images: Uint8Array,
): PageBatch {
  const digests = new Uint8Array(pages.length * 8);
  for (let i = 0; i < pages.length; i++) {
    digester.buffer.set(images.subarray(i * pageBytes, (i + 1) * pageBytes));
    digests.set(digester.digestBuffer(1), i * 8);
  }
  return { pages: Uint32Array.from(pages), count: pages.length, images, digests };
}

function drawBatches(
  random: Random,
  pageCount: number,
  pages: number,
  digester: PageDigester,
): PageBatch[] {
  const chosen = new Set<number>();
  while (chosen.size < pages) {
    // Runs of neighbours and single pages.
    const first = random.below(pageCount);
    const length = 1 + random.below(6);
    for (let i = 0; i < length && chosen.size < pages; i++) chosen.add((first + i) % pageCount);
  }
  const all = [...chosen];
  const again = all.filter(() => random.below(4) === 0);
  const batches: PageBatch[] = [];
  for (const list of [all, again]) {
    for (let from = 0; from < list.length; ) {
      const size = 1 + random.below(Math.max(8, pages));
      const some = list.slice(from, from + size);
      batches.push(batchOf(digester, some, drawBytes(random, some.length * pageBytes)));
      from += size;
    }
  }
  return batches;
}

function drawBytes(random: Random, bytes: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(bytes / 4));
  random.fill(words);
  return new Uint8Array(words.buffer, 0, bytes);
}

function digestPage(digester: PageDigester, ram: Uint8Array, page: number, table: Uint8Array) {
  digester.buffer.set(ram.subarray(page * pageBytes, (page + 1) * pageBytes));
  table.set(digester.digestBuffer(1), page * 8);
}
