import { createHash } from 'node:crypto';
import { readFileSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { WriteProtectTracker } from '../../../primary/capture/write-protect.ts';
import { isUnderstudyError } from '../../../shared/errors.ts';
import { RamFile } from '../../../shared/memory/ram-file.ts';
import { PageSet } from '../../../shared/page-set.ts';
import { type GuestConfig, guestPaths } from '../../../shared/qemu/guest-options.ts';
import { identify } from '../../../shared/qemu/process-record.ts';
import { QemuGuest } from '../../../shared/qemu/qemu-guest.ts';
import { QemuStandby } from '../../../shared/qemu/qemu-standby.ts';
import {
  type CounterLab,
  checkRegion,
  counterLab,
  readAll,
  readCounter,
  waitForCount,
} from './counter-guest.ts';

interface Checkpoint {
  readonly lab: CounterLab;
  readonly baseline: Uint8Array;
  readonly deviceState: Uint8Array;
  /** The peer's RAM file, as it was at the checkpoint. */
  readonly copy: RamFile;
  readonly count: number;
}

/** A guest that ran, was checkpointed some time after its baseline, and is gone. */
async function checkpoint(
  t: ExecutionContext,
  change: (config: GuestConfig) => GuestConfig = (config) => config,
): Promise<Checkpoint> {
  const plain = counterLab({});
  t.teardown(plain.remove);
  const lab = { ...plain, config: change(plain.config), peer: change(plain.peer) };
  const guest = await QemuGuest.start(lab.config);
  await waitForCount(guest.memory, 100);
  await guest.pause();
  const baseline = await guest.saveBaseline();
  await guest.resume();
  await waitForCount(guest.memory, readCounter(guest.memory) + 500);
  await guest.pause();
  const deviceState = await guest.saveDeviceState();
  const count = readCounter(guest.memory);
  t.is(checkRegion(guest.memory, 256), undefined);
  const copy = RamFile.create(guestPaths(lab.peer).ram, lab.peer.memoryBytes);
  t.teardown(() => copy.close());
  copyAll(guest.memory, copy);
  await guest.terminate();
  await guest.detach();
  return { lab, baseline, deviceState, copy, count };
}

function copyAll(from: RamFile, to: RamFile): void {
  for (let run = from.nextData(0); run !== undefined; run = from.nextData(run.end)) {
    const { first, end } = run;
    const pages = Uint32Array.from({ length: end - first }, (_, i) => first + i);
    const bytes = new Uint8Array(pages.length * 4096);
    from.copyPages(pages, pages.length, bytes, 0);
    to.writePages(pages, pages.length, bytes, 0);
  }
}

const digest = (ram: RamFile): string => createHash('sha256').update(readAll(ram)).digest('hex');

async function runsOn(t: ExecutionContext, resumed: QemuGuest, from: Checkpoint): Promise<void> {
  await waitForCount(from.copy, from.count + 300);
  await resumed.pause();
  t.is(checkRegion(from.copy, 256), undefined);
  await resumed.resume();
}

/** Nobody asked for it: the pages are noted since before QEMU had the mapping. */
async function knowsAllItWrote(t: ExecutionContext, resumed: QemuGuest, before: Uint8Array) {
  const tracker = WriteProtectTracker.open(resumed.tracked);
  t.true(tracker.knowsFromStart);
  await resumed.pause();
  const found = new PageSet(resumed.memory.pageCount);
  tracker.collect(found);
  const after = readAll(resumed.memory);
  let changed = 0;
  for (let at = 0; at < after.length; at += 4096) {
    const [one, other] = [before, after].map((image) => image.subarray(at, at + 4096));
    if (Buffer.compare(one!, other!) === 0) continue;
    changed += 1;
    if (!found.has(at / 4096)) t.fail(`page ${at / 4096} changed unseen`);
  }
  t.true(changed > 100, `${changed} pages changed`);
  t.true(found.size < changed + 100, `${found.size} pages were found, ${changed} changed`);
  await resumed.resume();
  tracker.close();
}

test('a later epoch goes on from a baseline in a standby, which touches no RAM before', async (t) => {
  const from = await checkpoint(t);
  const standby = await QemuStandby.start(from.lab.peer);
  const before = digest(from.copy);
  const imageBefore = readAll(from.copy);
  const loadStart = performance.now();
  await standby.load(from.baseline, from.deviceState);
  const loadMs = performance.now() - loadStart;
  t.is(digest(from.copy), before);
  const resumeStart = performance.now();
  const resumed = (await standby.resume()) as QemuGuest;
  t.log({ loadMs, resumeMs: performance.now() - resumeStart });
  await runsOn(t, resumed, from);
  await knowsAllItWrote(t, resumed, imageBefore);

  // From now on it is a guest like any other: checkpointed, let go of, adopted, never ended
  // by a standby that starts in its place.
  await resumed.pause();
  t.true((await resumed.saveBaseline()).length > 0);
  await resumed.resume();
  await resumed.detach();
  const error = await t.throwsAsync(QemuStandby.start(from.lab.peer));
  t.true(isUnderstudyError(error, 'E_GUEST_RUNNING'), String(error));
  const { guest: adopted, found } = await QemuGuest.adopt(from.lab.peer);
  t.is(found, 'running');
  t.true(await adopted.isRunning());
  await adopted.terminate();
  await adopted.detach();
});

test('two vCPUs, q35, a card and its user network go on as well', async (t) => {
  const from = await checkpoint(t, (config) => ({
    ...config,
    machine: 'pc-q35-7.2',
    vcpus: 2,
    networks: [{ kind: 'user', hostForward: [] }, { kind: 'none' }],
    serialLog: join(config.runFolder, 'serial.log'),
  }));
  const standby = await QemuStandby.start(from.lab.peer);
  await standby.load(from.baseline, from.deviceState);
  const resumed = (await standby.resume()) as QemuGuest;
  await runsOn(t, resumed, from);
  await resumed.terminate();
  await resumed.detach();
});

test('a corrupt stream is refused before QEMU sees it; the standby then takes a whole one', async (t) => {
  const from = await checkpoint(t);
  const standby = await QemuStandby.start(from.lab.peer);
  const cut = standby.load(from.baseline.subarray(0, 5000), from.deviceState);
  t.true(isUnderstudyError(await t.throwsAsync(cut), 'E_BASELINE_CORRUPT'));
  const short = standby.load(from.baseline, from.deviceState.subarray(0, 5000));
  t.true(isUnderstudyError(await t.throwsAsync(short), 'E_DEVICE_STATE_CORRUPT'));
  await standby.load(from.baseline, from.deviceState);
  const resumed = (await standby.resume()) as QemuGuest;
  await runsOn(t, resumed, from);
  await resumed.terminate();
  await resumed.detach();
});

test('a stream of another machine is E_STANDBY_REFUSED with what QEMU says', async (t) => {
  const from = await checkpoint(t);
  const standby = await QemuStandby.start({ ...from.lab.peer, machine: 'pc-q35-7.2' });
  const gone = new Promise<string>((resolve) => standby.onGone(resolve));
  const error = await t.throwsAsync(standby.load(from.baseline, from.deviceState));
  t.true(isUnderstudyError(error, 'E_STANDBY_REFUSED'), String(error));
  t.regex(String(error?.message), /Machine type|incoming migration|load of migration failed/i);
  t.regex(await gone, /QEMU ended/);
  await standby.discard();
});

test('a standby that ends is noticed; one left over is replaced; a discarded one is gone', async (t) => {
  const lab = counterLab({});
  t.teardown(lab.remove);
  RamFile.create(guestPaths(lab.config).ram, lab.config.memoryBytes).close();
  const first = await QemuStandby.start(lab.config);
  const gone = new Promise<string>((resolve) => first.onGone(resolve));
  process.kill(first.pid, 'SIGTERM');
  t.regex(await gone, /terminating on signal 15/);
  await first.discard();

  const second = await QemuStandby.start(lab.config);
  const record = readFileSync(guestPaths(lab.config).record);
  t.is(JSON.parse(record.toString()).role, 'standby');
  await second.detach();
  const adopted = await t.throwsAsync(QemuGuest.adopt(lab.config));
  t.true(isUnderstudyError(adopted, 'E_GUEST_NOT_RUNNING'), String(adopted));
  const third = await QemuStandby.start(lab.config);
  t.is(identify(second.pid), undefined, 'the one left over was ended');
  await third.discard();
  t.is(identify(third.pid), undefined);
});

test('a standby without its RAM file, or with one of another size, is refused', async (t) => {
  const lab = counterLab({});
  t.teardown(lab.remove);
  const missing = await t.throwsAsync(QemuStandby.start(lab.config));
  t.true(isUnderstudyError(missing, 'E_MEMORY_FILE'), String(missing));
  const { ram } = guestPaths(lab.config);
  RamFile.create(ram, lab.config.memoryBytes).close();
  truncateSync(ram, lab.config.memoryBytes / 2);
  const wrong = await t.throwsAsync(QemuStandby.start(lab.config));
  t.true(isUnderstudyError(wrong, 'E_MEMORY_SIZE'), String(wrong));
});
