/**
 * A backup whose primary sends changes of a disk in an epoch that is never committed:
 *
 *   node --expose-gc flooded-replica-child.js FOLDER MIB
 *
 * Says on standard output, in bytes as JSON, what the system gave it before and at most, and how much
 * waits in the journal at the end. What sends is in the same process.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
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
import { ArrayMemory } from './array-memory.ts';

const [folder, floodMib] = [process.argv[2]!, Number(process.argv[3])];
const mib = 2 ** 20;
const pieceBytes = mib / 2;
const name = 'flooded' as GuestName;
const about = { session: sessionId('00000000000000aa'), term: term(1) };
const fail = (error: unknown): void => {
  throw error;
};

const memory = new ArrayMemory(16);
const image = DiskImage.open(join(folder, 'b.raw'), true);
const journal = join(folder, 'journal');
const store = await ReplicaStore.open({
  ...{ folder: join(folder, 'replica'), guest: name, memory, stagingBytesMax: mib },
  disks: new DiskReplica({ folder: journal, images: [image], journalBytesMax: 2 ** 32 }),
});
const bus = new MemoryBus({ seed: 1, time: 'real' });
const { windowBytes } = bounds;
const secret = randomBytes(secretBytes);
await ReplicaSession.open({
  settings: { pageCount: memory.pageCount, blockBytes: 64, hash: 'xxh3', secret },
  ...{ about, protocol: 2, windowBytes, store, transport: bus.connect(), guestName: name },
  ...{
    clock: monotonicClock,
    emit: () => {},
    onCommitted: () => {},
    onArrived: () => {},
    onTerm: () => {},
  },
  ...{ onOlderEpochGivenUp: () => {}, onFailed: fail },
});
const subjects = subjectsOf(name);
const sender = new StreamSender({
  ...{ transport: bus.connect(), dataSubject: subjects.data, creditSubject: subjects.credit },
  ...{ guest: guestHash(name), session: sessionBits(about.session), term: about.term },
  onBroken: fail,
});

const body = Buffer.alloc(changeHeadBytes + pieceBytes, 7);
const pieces = (floodMib * mib) / pieceBytes;
/** Once around the bus, so that all that is allocated once is there. */
const warmUp = (2 * windowBytes) / pieceBytes;
let [beforeBytes, peakBytes] = [0, 0];
for (let piece = 0; piece < pieces; piece++) {
  const offset = (piece * pieceBytes) % image.sizeBytes;
  const change = { disk: 0, offset, length: pieceBytes };
  writeChangeHead(new DataView(body.buffer, body.byteOffset), 0, change, true);
  // Epoch 1 would go to the disk at once, as nothing is held.
  await sender.send('disk', epoch(2), [body]);
  if (piece % 32 !== 0) continue;
  globalThis.gc!();
  const status = readFileSync('/proc/self/status', 'latin1');
  const residentBytes = Number(/VmRSS:\s+(\d+)/.exec(status)![1]) * 1024;
  if (piece <= warmUp) beforeBytes = residentBytes;
  peakBytes = Math.max(peakBytes, residentBytes);
}
await sender.consumed();
const waitingBytes = statSync(join(journal, 'epoch-2')).size;
process.stdout.write(JSON.stringify({ beforeBytes, peakBytes, waitingBytes }));
process.exit();
