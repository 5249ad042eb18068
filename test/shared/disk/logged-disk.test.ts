import test from 'ava';
import { ChangeLog } from '../../../shared/disk/change-log.ts';
import { diskControl } from '../../../shared/disk/disk-control.ts';
import { type DiskState, LoggedDisk } from '../../../shared/disk/logged-disk.ts';

/** What FLUSH promises, with a host's disk whose syncs end when the test says so. */

function diskWithSlowSync() {
  const syncs: { resolve: () => void; reject: (error: Error) => void }[] = [];
  const image = {
    sizeBytes: 4096,
    writable: true,
    readCached: () => false,
    read: () => Promise.resolve(),
    readNow: () => {},
    write: () => {},
    zero: () => {},
    trim: () => {},
    flush: () => new Promise<void>((resolve, reject) => syncs.push({ resolve, reject })),
    extents: () => [],
  };
  const state: DiskState = {
    changes: 'open',
    log: new ChangeLog({ frameBytes: 4096, bytesMax: 4096, handOut: () => {} }),
    control: new Int32Array(diskControl.cells),
    flushing: new Set(),
  };
  return { disk: new LoggedDisk(image, 0, state), state, syncs };
}

async function isDone(work: Promise<void>): Promise<boolean> {
  let done = false;
  work.then(
    () => {
      done = true;
    },
    () => {},
  );
  await new Promise((resolve) => setImmediate(resolve));
  return done;
}

test('a FLUSH of the running guest waits for the disk of this host', async (t) => {
  const { disk, syncs } = diskWithSlowSync();
  const flush = disk.flush();
  t.false(await isDone(flush));
  syncs[0]!.resolve();
  t.true(await isDone(flush));
});

test('a FLUSH in the pause of a checkpoint waits for no disk', async (t) => {
  const { disk, state } = diskWithSlowSync();
  Atomics.store(state.control, diskControl.pausing, 1);
  t.true(await isDone(disk.flush()));
});

test('a FLUSH that is under way when the guest stops does not hold up the pause', async (t) => {
  const { disk, state } = diskWithSlowSync();
  const flush = disk.flush();
  t.false(await isDone(flush));
  for (const goOn of [...state.flushing]) goOn();
  t.true(await isDone(flush));
  t.is(state.flushing.size, 0);
});

test('without a backup every FLUSH waits, also in a pause', async (t) => {
  const { disk, state, syncs } = diskWithSlowSync();
  state.log = undefined;
  Atomics.store(state.control, diskControl.pausing, 1);
  const flush = disk.flush();
  t.false(await isDone(flush));
  syncs[0]!.resolve();
  t.true(await isDone(flush));
});

test('a sync that fails after nobody waited for it is an error of the next FLUSH, once', async (t) => {
  const { disk, state, syncs } = diskWithSlowSync();
  Atomics.store(state.control, diskControl.pausing, 1);
  await disk.flush();
  syncs[0]!.reject(Object.assign(new Error('no'), { code: 'EIO' }));
  await new Promise((resolve) => setImmediate(resolve));
  await t.throwsAsync(disk.flush(), { code: 'EIO' });
  await disk.flush();
});
