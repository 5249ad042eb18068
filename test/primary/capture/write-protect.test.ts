import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { counterPage } from '../../../bench/boot-sector.ts';
import type { TrackedGuest } from '../../../primary/capture/tracked-guest.ts';
import { parseShimStatus, WriteProtectTracker } from '../../../primary/capture/write-protect.ts';
import { isUnderstudyError } from '../../../shared/errors.ts';
import { PageSet } from '../../../shared/page-set.ts';
import { QemuGuest } from '../../../shared/qemu/qemu-guest.ts';
import {
  checkRegion,
  counterLab,
  pagesOfCounts,
  readAll,
  readCounter,
  waitForCount,
} from '../../shared/qemu/counter-guest.ts';

type Lab = { readonly guest: QemuGuest; readonly tracked: TrackedGuest };

async function startLab(
  t: ExecutionContext,
  options: Parameters<typeof counterLab>[0],
): Promise<Lab> {
  const lab = counterLab({ boot: 'floppy', ...options });
  t.teardown(lab.remove);
  const guest = await QemuGuest.start(lab.config);
  t.teardown(async () => {
    await guest.terminate();
    await guest.detach();
  });
  await waitForCount(guest.memory, 50);
  return { guest, tracked: guest.tracked };
}

const members = (pages: PageSet): number[] => {
  const found = new Uint32Array(pages.size);
  pages.take(0, found);
  return [...found];
};

/** The guest may be stopped between counting and writing: one count more at either end. */
function checkExact(t: ExecutionContext, found: PageSet, from: number, to: number, size: number) {
  const least = pagesOfCounts(from, to - 1, size).add(counterPage);
  const most = pagesOfCounts(from - 1, to, size).add(counterPage);
  const missed = [...least].filter((page) => !found.has(page));
  const invented = members(found).filter((page) => !most.has(page));
  t.deepEqual({ missed, invented }, { missed: [], invented: [] });
}

test('a paused collect reports exactly the pages written, as images of RAM show', async (t) => {
  const { guest, tracked } = await startLab(t, { regionPages: 1024, delay: 20_000 });
  const tracker = WriteProtectTracker.open(tracked);
  await guest.pause();
  const from = readCounter(guest.memory);
  const before = readAll(guest.memory);
  tracker.arm();
  await guest.resume();
  await waitForCount(guest.memory, from + 200);
  await guest.pause();
  const to = readCounter(guest.memory);
  const after = readAll(guest.memory);
  const found = new PageSet(guest.memory.pageCount);
  tracker.collect(found);
  checkExact(t, found, from, to, 1024);
  for (let page = 0; page < guest.memory.pageCount; page++) {
    const at = page * 4096;
    const changed = Buffer.compare(before.subarray(at, at + 4096), after.subarray(at, at + 4096));
    if (changed !== 0 && !found.has(page)) t.fail(`page ${page} changed unseen`);
  }
  const again = new PageSet(guest.memory.pageCount);
  tracker.collect(again);
  t.is(again.size, 0, 'nothing was written since');
  tracker.close();
});

test('more scattered ranges than one call reports are all reported', async (t) => {
  const size = 65_536;
  const options = { memoryBytes: 320 * 2 ** 20, regionPages: size, delay: 20_000 };
  const { guest, tracked } = await startLab(t, options);
  const tracker = WriteProtectTracker.open(tracked);
  await guest.pause();
  const from = readCounter(guest.memory);
  tracker.arm();
  await guest.resume();
  await waitForCount(guest.memory, from + 6000);
  await guest.pause();
  const found = new PageSet(guest.memory.pageCount);
  tracker.collect(found);
  const pages = members(found);
  const ranges = pages.filter((page, i) => page !== pages[i - 1]! + 1).length;
  t.true(ranges > 4096, `${ranges} ranges`);
  checkExact(t, found, from, readCounter(guest.memory), size);
  tracker.close();
});

test('live collects lose no page: together with the paused one they are all', async (t) => {
  const { guest, tracked } = await startLab(t, { regionPages: 1024, delay: 500 });
  const tracker = WriteProtectTracker.open(tracked);
  await guest.pause();
  const from = readCounter(guest.memory);
  tracker.arm();
  await guest.resume();
  const found = new PageSet(guest.memory.pageCount);
  for (let i = 0; i < 20; i++) {
    await sleep(5);
    tracker.collect(found);
  }
  await guest.pause();
  tracker.collect(found);
  checkExact(t, found, from, readCounter(guest.memory), 1024);
  t.is(checkRegion(guest.memory, 1024), undefined);
  tracker.close();
});

test('a guest that ended is E_TRACKER_LOST, never an empty set', async (t) => {
  const { guest, tracked } = await startLab(t, {});
  const tracker = WriteProtectTracker.open(tracked);
  tracker.arm();
  await guest.terminate();
  // A killed process has its memory until the last of its threads is gone.
  let error: unknown;
  for (const endAtMs = performance.now() + 120_000; performance.now() < endAtMs; ) {
    const found = new PageSet(guest.memory.pageCount);
    try {
      tracker.collect(found);
    } catch (thrown) {
      error = thrown;
      break;
    }
    await sleep(20);
  }
  t.true(isUnderstudyError(error, 'E_TRACKER_LOST'), String(error));
  tracker.close();
  const late = t.throws(() => WriteProtectTracker.open(tracked));
  t.true(isUnderstudyError(late, 'E_TRACKER_UNAVAILABLE'), String(late));
});

test('what the shim could not do is E_TRACKER_UNAVAILABLE with its reason', async (t) => {
  const { guest, tracked } = await startLab(t, {});
  const status = join(tracked.ramPath, '..', 'status');
  const open = () => WriteProtectTracker.open({ ...tracked, shimStatusPath: status });
  const expect = (pattern: RegExp) => {
    const error = t.throws(open);
    t.true(isUnderstudyError(error, 'E_TRACKER_UNAVAILABLE'));
    t.regex(String(error?.message), pattern);
  };
  expect(/without the memory shim/);
  const line = 'address=0x1000 size=4096 offset=0 features=0x0';
  writeFileSync(status, `failed:userfaultfd ${line} errno=1\n`);
  expect(/failed:userfaultfd, errno 1/);
  writeFileSync(status, '');
  expect(/saw no mapping/);
  // A status that claims too much: the kernel itself is asked about this process's own mapping.
  writeFileSync(status, `registered ${line} errno=0\n`);
  guest.memory.copyPages(Uint32Array.of(9), 1, new Uint8Array(4096), 0);
  const own = { ...tracked, pid: process.pid, shimStatusPath: status };
  const error = t.throws(() => WriteProtectTracker.open(own));
  t.true(isUnderstudyError(error, 'E_TRACKER_UNAVAILABLE'), String(error));
  t.regex(String(error?.message), /not under asynchronous write-protection/);
  rmSync(status);
});

test('the last line of the shim’s status counts', (t) => {
  const line = 'address=0x7f00 size=4096 offset=0 features=0xb000';
  t.deepEqual(parseShimStatus(`failed:register ${line} errno=22\nregistered ${line} errno=0\n`), {
    outcome: 'registered',
    errno: 0,
    mappings: 2,
  });
  t.is(parseShimStatus('garbage\n'), undefined);
});
