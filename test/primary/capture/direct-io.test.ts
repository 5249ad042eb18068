import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { CaptureSlots } from '../../../primary/capture/capture-slots.ts';
import { takeCheckpoint } from '../../../primary/capture/checkpoint.ts';
import { LiveRounds } from '../../../primary/capture/live-rounds.ts';
import { WriteProtectTracker } from '../../../primary/capture/write-protect.ts';
import { WrittenPages } from '../../../primary/capture/written-pages.ts';
import { monotonicClock } from '../../../shared/clock.ts';
import type { DirectIoMark, Guest } from '../../../shared/guest/guest.ts';
import { RamFile } from '../../../shared/memory/ram-file.ts';
import { SpanList } from '../../../shared/observe/spans.ts';
import { shimPath } from '../../../shared/qemu/launch.ts';

const folder = mkdtempSync('/dev/shm/us-pinned-');
test.after.always(() => rmSync(folder, { recursive: true, force: true }));
const program = join(folder, 'pinned-writer');
const source = fileURLToPath(new URL('../../../../test/native/pinned-writer.c', import.meta.url));
execFileSync('gcc', ['-O1', '-Wall', '-Werror', '-o', program, source]);

const memoryBytes = 4 * 2 ** 20;
const pinnedPage = 77;

/** A process with the shim's tracking on its RAM, and everything that a session captures with. */
async function startDevice(t: ExecutionContext, name: string) {
  const ramPath = join(folder, `${name}.ram`);
  const shimStatusPath = join(folder, `${name}.status`);
  const memory = RamFile.create(ramPath, memoryBytes);
  const env = {
    LD_PRELOAD: shimPath,
    UNDERSTUDY_RAM_FILE: ramPath,
    UNDERSTUDY_SHIM_STATUS: shimStatusPath,
  };
  const child: ChildProcess = spawn(program, [ramPath, String(memoryBytes)], {
    env,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const answer = async (): Promise<void> => {
    const line = await lines.next();
    if (line.done) throw new Error('the pinned writer has ended');
  };
  t.teardown(async () => {
    const ended = child.exitCode === null ? once(child, 'exit') : undefined;
    child.kill('SIGKILL');
    await ended;
    memory.remove();
  });
  await answer();
  const tracker = WriteProtectTracker.open({
    pid: child.pid!,
    ramPath,
    memory,
    shimStatusPath,
  });
  t.teardown(() => tracker.close());
  const capacity = memory.pageCount;
  const buffer = {
    captureBuffer: new Uint8Array(capacity * 4096),
    captureCapacityPages: capacity,
    capturePages: new Uint32Array(capacity),
  };
  const written = new WrittenPages(tracker, memory.pageCount);
  const slots = new CaptureSlots(memory, { shards: [buffer], shardOf: () => 0 });
  const drain = () => Promise.reject(new Error('the buffer holds all of RAM'));
  const spans = new SpanList(monotonicClock);
  const parts = { written, slots, clock: monotonicClock, spans, roundsWanted: 1, drain };
  const captured = (page: number): number | undefined => {
    const slot = buffer.capturePages.subarray(0, slots.count).indexOf(page);
    return slot < 0 ? undefined : buffer.captureBuffer[slot * 4096 + 100];
  };
  return {
    ...{ written, slots, memory, drain, captured },
    rounds: new LiveRounds(parts, memory.pageCount),
    command: async (words: string) => {
      child.stdin!.write(`${words}\n`);
      await answer();
    },
  };
}

type Device = Awaited<ReturnType<typeof startDevice>>;

/** A checkpoint of a guest whose devices ended requests up to `marks` when it is paused. */
async function checkpoint(device: Device, before: DirectIoMark, inPause: DirectIoMark) {
  const { written, slots, memory, drain } = device;
  const guest = {
    memory,
    pause: async () => {},
    resume: async () => {},
    saveDeviceState: async () => new Uint8Array(),
    directIoMark: async () => inPause,
  } as unknown as Guest;
  return await takeCheckpoint({
    ...{ guest, written, slots, drain, clock: monotonicClock },
    ...{ directIoBefore: before, withBaseline: false },
  });
}

/** A request is under way at the live scan; its data arrives after the live copy. */
async function pinnedAcrossLiveScan(t: ExecutionContext, name: string): Promise<Device> {
  const device = await startDevice(t, name);
  device.written.arm();
  device.written.scanPaused();
  device.written.forget();
  await device.command(`pin ${pinnedPage}`);
  await device.command('arrive 1');
  await device.rounds.run();
  t.is(device.captured(pinnedPage), 1, 'the live round has the page as it was then');
  await device.command('arrive 2');
  await device.command('unpin');
  return device;
}

for (const [name, before, inPause] of [
  ['counted', 7, 8],
  ['uncountable', null, null],
] as const) {
  test(`what direct I/O (${name}) writes after a live scan is in the checkpoint`, async (t) => {
    const device = await pinnedAcrossLiveScan(t, name);
    const { copiedPages } = await checkpoint(device, before, inPause);
    t.is(device.captured(pinnedPage), 2);
    t.is(copiedPages, 1);
    t.is(device.slots.count, 1, 'it took the place of its older copy');
    await device.command(`write ${pinnedPage} 3`);
    device.slots.clear();
    await checkpoint(device, before, inPause);
    t.is(device.captured(pinnedPage), 3, 'the next epoch tracks it as any other');
  });
}

test('where no direct I/O went on, a page captured live is not copied in the pause', async (t) => {
  const device = await startDevice(t, 'ordinary');
  device.written.arm();
  device.written.scanPaused();
  device.written.forget();
  await device.command('write 5 1');
  await device.command('write 6 1');
  await device.rounds.run();
  await device.command('write 6 2');
  const { copiedPages } = await checkpoint(device, 7, 7);
  t.is(copiedPages, 1);
  t.deepEqual([device.captured(5), device.captured(6)], [1, 2]);
});
