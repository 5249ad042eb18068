import { execFile, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { DiskOrigin } from '../../../backup/disk-origin.ts';
import { answerDigests } from '../../../backup/session/digest-answers.ts';
import { ReplicaSession } from '../../../backup/session/replica-session.ts';
import { DiskReplica } from '../../../backup/store/disk-replica.ts';
import { ReplicaStore } from '../../../backup/store/replica-store.ts';
import { ChangeStream } from '../../../primary/disk/change-stream.ts';
import { type DiskLevelParts, levelDisks } from '../../../primary/disk/disk-level.ts';
import { DigestQuestions } from '../../../primary/session/digest-questions.ts';
import { sessionClosed } from '../../../primary/session/session-closed.ts';
import { bounds } from '../../../shared/bounds.ts';
import { changeRegionBytes } from '../../../shared/change-basis.ts';
import { monotonicClock } from '../../../shared/clock.ts';
import { type CodecSettings, secretBytes } from '../../../shared/codec/codec-settings.ts';
import { DiskImage } from '../../../shared/disk/disk-image.ts';
import { DiskServer } from '../../../shared/disk/disk-server.ts';
import { type GuestName, sessionId, term } from '../../../shared/ids.ts';
import type { AgentEvent } from '../../../shared/observe/events.ts';
import { ControlChannel } from '../../../shared/transport/control-channel.ts';
import { MemoryBus } from '../../../shared/transport/memory-bus.ts';
import { StreamSender } from '../../../shared/transport/stream-sender.ts';
import { subjectsOf } from '../../../shared/transport/subjects.ts';
import { guestHash, sessionBits } from '../../../shared/wire/frame.ts';
import { ArrayMemory } from '../../backup/store/array-memory.ts';

/** Two hosts with a real disk each, served by real threads; between them a bus in this process. */

const name = 'level' as GuestName;
const regionCount = 8;
const diskBytes = regionCount * changeRegionBytes;
const ramPages = 16;

class Host {
  readonly folder: string;
  readonly image: string;
  readonly map: string;
  #server: DiskServer | undefined;

  constructor(folder: string) {
    this.folder = folder;
    mkdirSync(folder);
    this.image = join(folder, 'disk.raw');
    this.map = join(folder, 'disk-changes-0');
    writeFileSync(this.image, '');
    truncateSync(this.image, diskBytes);
  }

  get socketPath(): string {
    return join(this.folder, 'disk.sock');
  }

  async server(): Promise<DiskServer> {
    const fail = (error: Error) => {
      throw error;
    };
    this.#server ??= await DiskServer.start({
      ...{ images: [this.image], socketPath: this.socketPath, mapFolder: this.folder },
      ...{ onDeath: fail, onTrouble: fail },
    });
    return this.#server;
  }

  /** Its process ends; the next use starts another one. */
  async end(): Promise<void> {
    await this.#server?.close();
    this.#server = undefined;
  }
}

/** In each region a few pages that the other side does not have. */
function fill(host: Host, byte: number): void {
  const descriptor = openSync(host.image, 'r+');
  for (let region = 0; region < regionCount; region++) {
    for (let piece = 0; piece < 4; piece++) {
      const content = Buffer.alloc(20_000, byte + region);
      writeSync(descriptor, content, 0, content.length, region * changeRegionBytes + piece * 3e6);
    }
  }
}

interface Ended {
  /** Bytes that were read to be compared, and that the first sign said were level already. */
  readonly readBytes: number;
  readonly levelBefore: number;
}

let sessionCount = 0;

/** One session; it ends when `regionsLeft` are left to be compared by the next one, or when all is. */
async function session(
  { primary, backup }: { primary: Host; backup: Host },
  regionsLeft = -1,
): Promise<Ended> {
  const bus = new MemoryBus({ seed: 1, time: 'real' });
  const [ours, theirs] = [bus.connect(), bus.connect()];
  sessionCount += 1;
  const about = { session: sessionId(sessionCount.toString(16).padStart(16, '0')), term: term(1) };
  const secret = randomBytes(secretBytes);
  const settings: CodecSettings = { pageCount: ramPages, blockBytes: 64, hash: 'xxh3', secret };
  const { windowBytes } = bounds;
  const closed = new AbortController();
  const failed = (error: unknown) => closed.abort(error);

  const server = await backup.server();
  server.refuseChanges();
  const origin = new DiskOrigin(server);
  const store = await ReplicaStore.open({
    ...{ folder: join(backup.folder, 'replica'), guest: name, stagingBytesMax: 2 ** 20 },
    memory: new ArrayMemory(ramPages),
    disks: new DiskReplica({
      ...{ folder: join(backup.folder, 'journal'), journalBytesMax: 2 ** 20 },
      images: [DiskImage.open(backup.image, true, false)],
      willChange: (inPlace) => origin.willChange(inPlace),
    }),
  });
  const replica = await ReplicaSession.open({
    ...{ about, settings, protocol: 2, windowBytes, store, disks: server, origin },
    ...{ transport: theirs, clock: monotonicClock, guestName: name, emit: () => {} },
    ...{
      onCommitted: () => {},
      onArrived: () => {},
      onTerm: () => {},
      onOlderEpochGivenUp: () => {},
    },
    onFailed: failed,
  });
  new ControlChannel(theirs, name, 'backup').listen((incoming) => {
    const { message } = incoming;
    if (message.kind === 'disk-changes-request' || message.kind === 'disk-digests-request') {
      answerDigests(replica, message, incoming).catch(failed);
    }
  }, failed);

  const disk = await primary.server();
  disk.openToChanges();
  const subjects = subjectsOf(name);
  const sender = new StreamSender({
    ...{ transport: ours, dataSubject: subjects.data, creditSubject: subjects.credit },
    ...{ guest: guestHash(name), session: sessionBits(about.session), term: about.term },
    onBroken: failed,
  });
  const stream = new ChangeStream(disk, sender, 2 ** 18);
  const control = new ControlChannel(ours, name, 'primary');
  const questions = new DigestQuestions({ control, about, closed: closed.signal });
  const events: Extract<AgentEvent, { kind: 'disk-sync' }>[] = [];
  let readBytes = 0;
  const isLeft = async () => (await disk.known())[0]!.known!.regions.length <= regionsLeft;
  const parts: DiskLevelParts = {
    ...{ server: disk, stream, settings, session: about.session, clock: monotonicClock },
    ...{ closed: closed.signal, bytesPerSecond: null },
    ask: async (request) => {
      if (request.of === 'regions') {
        // The half is compared: what is proven of it by now is what the next session can build on.
        while (regionsLeft >= 0 && request.first * 4 * 2 ** 20 >= diskBytes / 2) {
          if (await isLeft()) closed.abort(sessionClosed('it was interrupted'));
          closed.signal.throwIfAborted();
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
        readBytes += request.count * 4 * 2 ** 20;
      }
      return await questions.ask(request, 'disk-digests');
    },
    theirChanges: (index, when) => questions.knownChanges(index, when === 'now'),
    emit: (event) => {
      if (event.kind === 'disk-sync') events.push(event);
    },
  };
  try {
    await levelDisks(parts);
    await disk.seal();
    await stream.taken();
  } catch (error) {
    if (regionsLeft < 0) throw error;
  } finally {
    if (!closed.signal.aborted) closed.abort(sessionClosed('it is over'));
    sender.close();
    stream.close();
    await replica.close();
    store.close();
  }
  return { readBytes, levelBefore: events[0]!.comparedBytes };
}

function pair(t: ExecutionContext): { primary: Host; backup: Host } {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-level-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const hosts = { primary: new Host(join(folder, 'a')), backup: new Host(join(folder, 'b')) };
  t.teardown(() => Promise.all([hosts.primary.end(), hosts.backup.end()]));
  fill(hosts.primary, 0x10);
  fill(hosts.backup, 0x20);
  return hosts;
}

const isEqual = ({ primary, backup }: { primary: Host; backup: Host }): boolean =>
  spawnSync('cmp', [primary.image, backup.image]).status === 0;

/** As the guest does it. */
async function write({ primary }: { primary: Host }, offset: number): Promise<void> {
  const uri = `nbd+unix:///disk0?socket=${primary.socketPath}`;
  const args = ['-f', 'raw', '-c', `write -P 0x77 ${offset} 4k`, uri];
  await promisify(execFile)('qemu-io', args, { timeout: 60_000 });
}

const half = diskBytes / 2;

test.serial(
  'a synchronisation that is interrupted at half reads the other half alone',
  async (t) => {
    const hosts = pair(t);
    t.deepEqual(await session(hosts, regionCount / 2), { readBytes: half, levelBefore: 0 });
    t.false(isEqual(hosts));
    t.deepEqual(await session(hosts), { readBytes: half, levelBefore: half });
    t.true(isEqual(hosts));
  },
);

test.serial(
  'so do new processes of both hosts, and what was changed meanwhile is sent',
  async (t) => {
    const hosts = pair(t);
    await session(hosts, regionCount / 2);
    // What is level by now; the thread of a host that hears nothing serves its guest on.
    await write(hosts, changeRegionBytes + 4096);
    await hosts.primary.end();
    await hosts.backup.end();
    // A file system that does not say when a file was made can't tell it from another one.
    const isKnown = statSync(hosts.primary.image).birthtimeMs > 0;
    const levelBefore = isKnown ? half - changeRegionBytes : 0;
    t.deepEqual(await session(hosts), { readBytes: diskBytes - levelBefore, levelBefore });
    t.true(isEqual(hosts));
  },
);

for (const side of ['primary', 'backup'] as const) {
  test.serial(`all is compared where the map of the ${side} is gone or damaged`, async (t) => {
    const hosts = pair(t);
    const all = { readBytes: diskBytes, levelBefore: 0 };
    await session(hosts, regionCount / 2);
    const host = hosts[side];
    await host.end();
    const bytes = readFileSync(host.map);
    bytes[4096 + 20]! ^= 1;
    writeFileSync(host.map, bytes);
    t.deepEqual(await session(hosts, regionCount / 2), { ...all, readBytes: half });
    await host.end();
    rmSync(host.map);
    t.deepEqual(await session(hosts), all);
    t.true(isEqual(hosts));
  });
}
