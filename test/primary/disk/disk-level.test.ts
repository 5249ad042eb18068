import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { DiskReplica } from '../../../backup/store/disk-replica.ts';
import { type DiskLevelParts, levelDisks, stretchesOf } from '../../../primary/disk/disk-level.ts';
import { regionDigestsOf } from '../../../shared/codec/region-digest.ts';
import { DiskImage } from '../../../shared/disk/disk-image.ts';
import { epoch, pageBytes } from '../../../shared/ids.ts';
import type { AgentEvent } from '../../../shared/observe/events.ts';
import { changeHeadBytes, writeChangeHead } from '../../../shared/wire/disk-body.ts';
import { ManualClock } from '../manual-clock.ts';

const regionPages = 4096;

test('without a map all of a disk is compared, in stretches of 64 MiB', (t) => {
  const pages = 2 * 16_384 + 5;
  t.deepEqual(stretchesOf(pages, undefined), [
    { first: 0, count: 16_384 },
    { first: 16_384, count: 16_384 },
    { first: 32_768, count: 5 },
  ]);
});

test('with a map only its regions are, neighbours together, and the last one as long as it is', (t) => {
  const pages = 7 * regionPages + 1;
  t.deepEqual(stretchesOf(pages, new Uint32Array()), []);
  t.deepEqual(stretchesOf(pages, Uint32Array.of(1, 2, 7, 9)), [
    { first: regionPages, count: 2 * regionPages },
    { first: 7 * regionPages, count: 1 },
  ]);
  t.deepEqual(stretchesOf(pages, Uint32Array.of(0, 1, 2, 3, 4)), [
    { first: 0, count: 16_384 },
    { first: 16_384, count: regionPages },
  ]);
});

/** A page is told from others by its first 8 bytes, which is all that differs here. */
function digestsOf(image: Buffer, first: number, count: number): BigUint64Array {
  return BigUint64Array.from({ length: count }, (_, at) =>
    image.readBigUInt64LE((first + at) * pageBytes),
  );
}

test('a first synchronisation that is interrupted sends no page twice, also to a new process', async (t) => {
  const pageCount = 600;
  const ours = Buffer.alloc(pageCount * pageBytes);
  for (let page = 0; page < pageCount; page++) ours.writeUInt32LE(page + 1, page * pageBytes);
  const folder = mkdtempSync('/dev/shm/understudy-level-');
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'b.raw');
  writeFileSync(path, Buffer.alloc(ours.length));
  const sent: number[] = [];
  /** One session with one process of the backup, which holds nothing whole. */
  const session = async (pagesUntilItEnds: number): Promise<number> => {
    const images = [DiskImage.open(path, true, false)];
    const options = { folder: join(folder, 'journal'), journalBytesMax: 2 ** 20, images };
    const replica = new DiskReplica(options);
    await replica.goInPlace(epoch(1));
    const end = new AbortController();
    const events: AgentEvent[] = [];
    const from = sent.length;
    const parts = {
      server: {
        sizes: [ours.length],
        known: async () => [],
        digests: async ({ first, count }: { first: number; count: number }) =>
          digestsOf(ours, first, count),
        copy: async (disk: number, pages: Uint32Array) => {
          for (const page of pages) {
            const body = Buffer.alloc(changeHeadBytes + pageBytes);
            const change = { disk, offset: page * pageBytes, length: pageBytes };
            writeChangeHead(new DataView(body.buffer, body.byteOffset), 0, change, true);
            ours.copy(body, changeHeadBytes, page * pageBytes, (page + 1) * pageBytes);
            replica.add(epoch(1), body);
            sent.push(page);
          }
          if (sent.length - from >= pagesUntilItEnds) end.abort();
        },
      },
      stream: { settled: async () => {} },
      settings: {},
      ask: async ({ of, first, count }: { of: string; first: number; count: number }) => {
        const theirs = readFileSync(path);
        return of === 'pages'
          ? digestsOf(theirs, first, count)
          : regionDigestsOf(digestsOf(theirs, 0, pageCount));
      },
      theirChanges: async () => null,
      clock: new ManualClock(),
      emit: (event: AgentEvent) => events.push(event),
      closed: end.signal,
      bytesPerSecond: null,
    };
    try {
      await levelDisks(parts as unknown as DiskLevelParts);
    } catch (error) {
      if (!end.signal.aborted) throw error;
    } finally {
      replica.close();
    }
    const done = events.find((event) => event.kind === 'disk-sync' && event.phase === 'done');
    return done?.kind === 'disk-sync' ? done.sentBytes : -1;
  };
  t.is(await session(200), -1, 'interrupted');
  const before = sent.length;
  t.true(before >= 200 && before < pageCount);
  const sentBytes = await session(Number.POSITIVE_INFINITY);
  t.is(sent.length, new Set(sent).size, 'no page was sent twice');
  t.is(sent.length, pageCount);
  t.is(sentBytes, (pageCount - before) * pageBytes);
  t.true(readFileSync(path).equals(ours));
  t.is(await session(Number.POSITIVE_INFINITY), 0);
});
