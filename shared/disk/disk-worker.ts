/**
 * The thread that serves a guest's disks, so that work of the main thread does not keep the guest
 * waiting. Started by `disk-server.ts`.
 */
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import {
  basisOf,
  type ChangeBasis,
  changeRegionCount,
  type KnownChanges,
  syncBasis,
} from '../change-basis.ts';
import { PageDigester } from '../codec/page-digester.ts';
import { systemCode, UnderstudyError } from '../errors.ts';
import { NbdServer } from '../nbd/nbd-server.ts';
import { ChangeLog } from './change-log.ts';
import { ChangeMap } from './change-map.ts';
import { ChangeMapFile } from './change-map-file.ts';
import {
  type CallResult,
  changesAre,
  type DigestSettings,
  type DiskTask,
  diskControl,
  type FromDiskThread,
  type PageRange,
  type PlainError,
  type ToDiskThread,
} from './disk-control.ts';
import { DiskImage } from './disk-image.ts';
import { DiskPages } from './disk-pages.ts';
import { diskHint, type Trouble, troubleOf } from './disk-trouble.ts';
import { type DiskState, LoggedDisk } from './logged-disk.ts';

if (parentPort === null) throw new Error('disk-worker.ts runs as a worker');
const port = parentPort;
const task = workerData as DiskTask;

/** Memory for changes that were made and have not left for the backup: then changes wait. */
const logBytesMax = 32 * 2 ** 20;

const state: DiskState = {
  log: undefined,
  control: new Int32Array(task.control),
  flushing: new Set(),
  trouble,
};
/** When an operator was last told, by disk and what failed of it. */
const toldAtMs = new Map<string, number>();
let logNumber = 0;
/** Changes that wait for room in the log, or to be allowed, in order. */
const waiting: (() => void)[] = [];
const images: DiskImage[] = [];
const disks: LoggedDisk[] = [];
const maps: ChangeMap[] = [];
/** The newest epoch that the backup is known to have; null: none of the session that goes on. */
let acked: ChangeBasis | null = null;
let settling = false;
/** Another one where a session begins or ends, or the guest's host changes. */
let generation = 0;
const settleEveryMs = 10_000;
const troubleMs = 60_000;
let server: NbdServer | undefined;
let digester: { readonly settings: DigestSettings; readonly it: PageDigester } | undefined;

try {
  for (const [index, path] of task.images.entries()) {
    images.push(DiskImage.open(path, true));
    maps.push(openMap(images[index]!, index));
    disks.push(new LoggedDisk(images[index]!, index, state, maps[index]!));
  }
  const named = new Map(disks.map((disk, index) => [`disk${index}`, disk]));
  server = await NbdServer.listen({ path: task.socketPath, disks: named, admit });
  port.on('message', (message: ToDiskThread) => onMessage(message));
  setInterval(settleMaps, settleEveryMs).unref();
  say({ kind: 'ready', sizes: images.map((image) => image.sizeBytes) });
} catch (error) {
  say({ kind: 'failed', error: plain(error) });
}

function admit(work: () => void): void {
  if (waiting.length === 0 && mayChange()) work();
  else waiting.push(work);
}

function admitWaiting(): void {
  while (waiting.length > 0 && mayChange()) waiting.shift()!();
}

function mayChange(): boolean {
  return changesNow() !== changesAre.undecided && (state.log?.hasRoom ?? true);
}

function changesNow(): number {
  return Atomics.load(state.control, diskControl.changes);
}

function onMessage(message: ToDiskThread): void {
  switch (message.kind) {
    case 'decided':
      // A guest that comes from elsewhere counts on what it was told there to be durable.
      if (changesNow() === changesAre.open) {
        for (const disk of disks) disk.syncBehind().catch(() => {});
      }
      admitWaiting();
      return;
    case 'start-log':
      startLog(message.log, message.frameBytes);
      return;
    case 'stop-log':
      state.log?.close();
      state.log = undefined;
      acked = null;
      generation += 1;
      for (const map of maps) map.sessionEnds();
      admitWaiting();
      return;
    case 'sent':
      if (message.log !== logNumber) return;
      state.log?.left(message.bytes, message.memory);
      admitWaiting();
      return;
    case 'guest-stops':
      for (const goOn of [...state.flushing]) goOn();
      return;
    case 'seal':
      state.log?.flush();
      say({ kind: 'done', call: message.call, result: undefined });
      return;
    case 'digests':
      answer(message.call, () => digests(message.range, message.settings), message.range.disk);
      return;
    case 'copy':
      answer(
        message.call,
        async () => {
          disks[message.disk]!.copy(message.pages);
          return undefined;
        },
        message.disk,
      );
      return;
    case 'acked':
      if (message.log === logNumber) takeAck(basisOf(message.session, message.epoch, false));
      return;
    case 'start-from':
      answer(message.call, async () => {
        const basis = basisOf(message.session, message.epoch, true);
        generation += 1;
        for (const map of maps) map.startFrom(basis);
        settleMaps();
        return undefined;
      });
      return;
    case 'forget':
      answer(message.call, async () => {
        generation += 1;
        for (const map of maps) map.forget();
        return undefined;
      });
      return;
    case 'follow':
      answer(message.call, async () => {
        generation += 1;
        for (const map of maps) map.follow(syncBasis(message.session, 'follows'));
        return undefined;
      });
      return;
    case 'known-synced':
      answer(message.call, () => knownSynced(message.disk));
      return;
    case 'lead':
      answer(message.call, () =>
        onceSynced(message.disk, (map) =>
          map.lead(syncBasis(message.session, 'leads'), message.regions),
        ),
      );
      return;
    case 'end-round':
      answer(message.call, async () => {
        state.log?.flush();
        return maps[message.disk]!.endRound();
      });
      return;
    case 'proven': {
      const { call, disk, session, round, regions } = message;
      answer(call, () => onceSynced(disk, (map) => map.proven(session, round, regions)));
      return;
    }
    case 'known':
      answer(message.call, async () =>
        maps.map(({ known, isAboutImage }) => ({ known, isSameImage: isAboutImage })),
      );
      return;
    case 'watch':
      answer(message.call, async () => {
        for (const disk of disks) disk.watch(message.isOn);
        return undefined;
      });
      return;
    case 'unchanged':
      answer(message.call, async () => disks[message.disk]!.unchanged(message.pages));
      return;
    case 'close':
      answer(message.call, async () => {
        await server?.close();
        port.close();
        for (const image of images) image.close();
        for (const map of maps) map.close();
        return undefined;
      });
  }
}

function startLog(log: number, frameBytes: number): void {
  state.log?.close();
  logNumber = log;
  acked = null;
  generation += 1;
  for (const map of maps) map.sessionBegins();
  state.log = new ChangeLog({
    frameBytes,
    bytesMax: logBytesMax,
    handOut: (body, epoch) =>
      port.postMessage({ kind: 'changes', log, epoch, body } satisfies FromDiskThread, [
        body.buffer as ArrayBuffer,
      ]),
  });
}

/** The guest is told of each failure, an operator of the first one of its kind in a while. */
function trouble(disk: number, what: Trouble, error: unknown): void {
  const runsHere = changesNow() === changesAre.open;
  const found = troubleOf({ path: images[disk]!.path, what, error, runsHere });
  if (found !== undefined) tell(disk, found);
}

function tell(disk: number, error: PlainError): void {
  const kind = `${disk} ${error.code}`;
  const nowMs = performance.now();
  if (nowMs < (toldAtMs.get(kind) ?? Number.NEGATIVE_INFINITY) + troubleMs) return;
  toldAtMs.set(kind, nowMs);
  say({ kind: 'trouble', error });
}

function openMap(image: DiskImage, index: number): ChangeMap {
  const { sizeBytes, identity } = image;
  const path = join(task.mapFolder, `disk-changes-${index}`);
  const bitmapBytes = Math.ceil(changeRegionCount(sizeBytes) / 8);
  const { file, found } = ChangeMapFile.open(path, { sizeBytes, ...identity }, bitmapBytes);
  return new ChangeMap(file, found, sizeBytes, () => performance.now());
}

/** The first one of a session is worth a sync at once: from then on less has to be remembered. */
function takeAck(basis: ChangeBasis): void {
  const isFirst = acked === null;
  acked = basis;
  if (isFirst) settleMaps();
}

/** Beside the guest: what an image is synced for is said by its map. */
function settleMaps(): void {
  if (settling) return;
  settling = true;
  settleAll().finally(() => {
    settling = false;
  });
}

async function settleAll(): Promise<void> {
  for (const [index, map] of maps.entries()) {
    const [since, basis] = [generation, acked];
    if (!map.isWorthSyncing(basis)) continue;
    try {
      await disks[index]!.syncBehind();
      // What the sync was for may be over: then nothing follows from it.
      if (since === generation) map.synced(basis);
    } catch (error) {
      // More is remembered meanwhile. The guest hears of a sync that failed from its next FLUSH.
      if (systemCode(error) === undefined) throw error;
      if (error instanceof UnderstudyError) tell(index, plain(error));
    }
  }
}

/** What it answers holds for good. A sync that failed may have lost what no later one knows of. */
async function knownSynced(disk: number): Promise<KnownChanges | undefined> {
  const since = generation;
  try {
    await disks[disk]!.syncBehind();
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
  }
  const isSound = !disks[disk]!.hasFailedSync && since === generation;
  return isSound ? (maps[disk]!.known ?? undefined) : undefined;
}

/** Syncs an image and then changes what is known of it. False where that can't be. */
async function onceSynced(disk: number, work: (map: ChangeMap) => void): Promise<boolean> {
  const since = generation;
  try {
    await disks[disk]!.syncBehind();
    // A sync that failed may have lost what no later one knows of.
    if (since !== generation || disks[disk]!.hasFailedSync) return false;
    work(maps[disk]!);
    return true;
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    if (error instanceof UnderstudyError) tell(disk, plain(error));
    return false;
  }
}

async function digests(range: PageRange, settings: DigestSettings): Promise<BigUint64Array> {
  if (digester?.settings.secret.toString() !== settings.secret.toString()) {
    digester = { settings, it: await PageDigester.create(settings) };
  }
  const found = new BigUint64Array(range.count);
  const pages = new DiskPages(images[range.disk]!);
  for (let done = 0; done < range.count; done += pagesPerTurn) {
    const count = Math.min(pagesPerTurn, range.count - done);
    const into = new Uint8Array(found.buffer, done * 8, count * 8);
    digester.it.digestRange(pages, range.first + done, count, into);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return found;
}

/** Pages digested before the guest's requests get their turn. */
const pagesPerTurn = 256;

/** `disk`: the one whose image the work reads. */
function answer(call: number, work: () => Promise<CallResult>, disk?: number): void {
  work().then(
    (result) => say({ kind: 'done', call, result }),
    (error: unknown) => say({ kind: 'not-done', call, error: plain(error, disk) }),
  );
}

function plain(error: unknown, disk?: number): PlainError {
  if (error instanceof UnderstudyError) {
    const { code, message, hint } = error;
    return { code, message, hint };
  }
  const cause = systemCode(error);
  if (cause === undefined) throw error;
  const { message: why } = error as Error;
  const message =
    disk === undefined ? why : `reading ${images[disk]!.path} for its other copy: ${why}`;
  return { code: 'E_DISK_IO', message, hint: diskHint };
}

function say(message: FromDiskThread): void {
  port.postMessage(message);
}
