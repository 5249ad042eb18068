import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { ReplicaSession } from '../../../backup/session/replica-session.ts';
import { DiskReplica } from '../../../backup/store/disk-replica.ts';
import { ReplicaStore } from '../../../backup/store/replica-store.ts';
import { bounds } from '../../../shared/bounds.ts';
import { monotonicClock } from '../../../shared/clock.ts';
import { secretBytes } from '../../../shared/codec/codec-settings.ts';
import { DiskImage } from '../../../shared/disk/disk-image.ts';
import { epoch, type GuestName, sessionId, term } from '../../../shared/ids.ts';
import { MemoryBus } from '../../../shared/transport/memory-bus.ts';
import { StreamSender } from '../../../shared/transport/stream-sender.ts';
import { subjectsOf } from '../../../shared/transport/subjects.ts';
import { changeHeadBytes, writeChangeHead } from '../../../shared/wire/disk-body.ts';
import { guestHash, sessionBits } from '../../../shared/wire/frame.ts';
import { emptyImage } from '../../shared/disk/disk-fixture.ts';
import { ArrayMemory } from '../store/array-memory.ts';

const name = 'arrivals' as GuestName;
const about = { session: sessionId('00000000000000aa'), term: term(1) };

test('frames are a sign of life when they come, not when a slow disk has taken them', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-arrivals-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  let diskIsReady = () => {};
  const slowDisk = new Promise<void>((resolve) => {
    diskIsReady = resolve;
  });
  const image = DiskImage.open(emptyImage(folder, 'b.raw', 65_536), true);
  const store = await ReplicaStore.open({
    ...{ folder: join(folder, 'replica'), guest: name, stagingBytesMax: 2 ** 20 },
    memory: new ArrayMemory(16),
    disks: new DiskReplica({
      ...{ folder: join(folder, 'journal'), images: [image], journalBytesMax: 2 ** 20 },
      willChange: () => slowDisk,
    }),
  });
  const bus = new MemoryBus({ seed: 1, time: 'real' });
  const errors: unknown[] = [];
  let arrivals = 0;
  const session = await ReplicaSession.open({
    settings: { pageCount: 16, blockBytes: 64, hash: 'xxh3', secret: Buffer.alloc(secretBytes) },
    ...{ about, protocol: 2, windowBytes: bounds.windowBytes, store, transport: bus.connect() },
    ...{ guestName: name, clock: monotonicClock, emit: () => {}, onCommitted: () => {} },
    onArrived: () => {
      arrivals += 1;
    },
    ...{ onTerm: () => {}, onOlderEpochGivenUp: () => {} },
    onFailed: (error) => errors.push(error),
  });
  const subjects = subjectsOf(name);
  const sender = new StreamSender({
    ...{ transport: bus.connect(), dataSubject: subjects.data, creditSubject: subjects.credit },
    ...{ guest: guestHash(name), session: sessionBits(about.session), term: about.term },
    onBroken: (error) => errors.push(error),
  });
  t.teardown(async () => {
    diskIsReady();
    sender.close();
    await session.close();
    store.close();
  });
  const body = Buffer.alloc(changeHeadBytes + 4096, 7);
  const change = { disk: 0, offset: 0, length: 4096 };
  writeChangeHead(new DataView(body.buffer, body.byteOffset), 0, change, true);
  for (const coming of [1, 2, 3]) {
    await sender.send('disk', epoch(1), [body]);
    const deadlineAtMs = monotonicClock.nowMs() + 30_000;
    while (arrivals < coming && monotonicClock.nowMs() < deadlineAtMs) await sleep(5);
    if (arrivals < coming) throw new Error(`frame ${coming} was no sign of life`);
    // Signs of life are not told more often.
    await sleep(2 * bounds.watchTickMs);
  }
  const read = Buffer.alloc(1);
  image.readNow(0, read);
  t.is(read[0], 0, 'nothing of them has reached the disk');
  diskIsReady();
  await sender.consumed();
  image.readNow(0, read);
  t.is(read[0], 7);
  t.is(arrivals, 3, 'that the disk has taken them is no sign of life');
  t.deepEqual(errors, []);
});
