import test from 'ava';
import { ChangeLog } from '../../../shared/disk/change-log.ts';
import { changesAre, diskControl } from '../../../shared/disk/disk-control.ts';
import { type DiskState, LoggedDisk } from '../../../shared/disk/logged-disk.ts';
import { diskChanges } from '../../../shared/wire/disk-body.ts';

/** What FLUSH promises, with a host's disk whose syncs end when the test says so. */

function diskWithSlowSync(
  other: Partial<ConstructorParameters<typeof LoggedDisk>[0]> = {},
  map: ConstructorParameters<typeof LoggedDisk>[3] = { note: () => {} },
) {
  const troubles: [disk: number, what: string, error: unknown][] = [];
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
    ...other,
  };
  const state: DiskState = {
    log: new ChangeLog({ frameBytes: 4096, bytesMax: 4096, handOut: () => {} }),
    control: new Int32Array(diskControl.cells),
    flushing: new Set(),
    trouble: (...told) => troubles.push(told),
  };
  state.control[diskControl.changes] = changesAre.open;
  return { disk: new LoggedDisk(image, 0, state, map), state, syncs, troubles };
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
  const { disk, state, syncs, troubles } = diskWithSlowSync();
  Atomics.store(state.control, diskControl.pausing, 1);
  await disk.flush();
  syncs[0]!.reject(Object.assign(new Error('no'), { code: 'EIO' }));
  await new Promise((resolve) => setImmediate(resolve));
  t.deepEqual(
    troubles.map(([disk, what]) => [disk, what]),
    [[0, 'syncing']],
    'an operator hears of it at once',
  );
  await t.throwsAsync(disk.flush(), { code: 'EIO' });
  await disk.flush();
});

test('a sync behind the guest’s back that fails is told to the guest, also where it waits for its own', async (t) => {
  const { disk, syncs, troubles } = diskWithSlowSync();
  const failing = { code: 'EIO' };
  // The system tells it to one of two syncs only.
  const [behind, flush] = [disk.syncBehind(), disk.flush()];
  syncs[0]!.reject(Object.assign(new Error('no'), failing));
  await t.throwsAsync(behind, failing);
  syncs[1]!.resolve();
  await t.throwsAsync(flush, failing);
  t.deepEqual(
    troubles.map(([, what]) => what),
    ['own syncing'],
  );
  await t.throwsAsync(disk.flush(), failing);
  const after = disk.flush();
  syncs[2]!.resolve();
  await after;
});

test('what can not be remembered, or not be told of holes, is an error that an operator hears of', (t) => {
  const fail = (code: string) => () => {
    throw Object.assign(new Error('no'), { code });
  };
  const { disk, troubles } = diskWithSlowSync(
    { extents: fail('EIO') },
    { note: fail('E_DISK_MAP') },
  );
  t.throws(() => disk.write(0, new Uint8Array(512)), { code: 'E_DISK_MAP' });
  t.throws(() => disk.trim(0, 512), { code: 'E_DISK_MAP' });
  t.throws(() => disk.extents(0, 512, 1), { code: 'EIO' });
  t.deepEqual(
    troubles.map(([, what]) => what),
    ['writing', 'writing', 'reading'],
  );
});

test('where the guest does not run no change is made, from the moment at which it is said', (t) => {
  const { disk, state } = diskWithSlowSync();
  disk.write(0, new Uint8Array(512));
  Atomics.store(state.control, diskControl.changes, changesAre.refused);
  for (const change of [
    () => disk.write(0, new Uint8Array(512)),
    () => disk.zero(0, 512, true),
    () => disk.trim(0, 512),
  ]) {
    t.throws(change, { code: 'EPERM' });
  }
});

test('a change that fails is told, and the log has what is there then', (t) => {
  const bodies: Uint8Array[] = [];
  const { disk, state, troubles } = diskWithSlowSync({
    write: () => {
      throw Object.assign(new Error('no'), { code: 'EIO' });
    },
    readNow: (_, target) => target.fill(7),
  });
  state.log = new ChangeLog({
    ...{ frameBytes: 4096, bytesMax: 4096 },
    handOut: (body) => bodies.push(body),
  });
  t.throws(() => disk.write(512, new Uint8Array(1000).fill(9)), { code: 'EIO' });
  state.log.flush();
  const [change, ...others] = bodies.flatMap((body) => [...diskChanges(body, [4096])]);
  t.deepEqual(others, []);
  t.deepEqual([change!.offset, change!.length], [512, 1000]);
  t.true(change!.data!.every((byte) => byte === 7));
  t.is(troubles[0]![1], 'writing');
});

test('a page that is changed during a comparison is left out of it, whatever changes it', (t) => {
  const { disk } = diskWithSlowSync({ sizeBytes: 10 * 4096 + 512 });
  const all = Uint32Array.from({ length: 11 }, (_, page) => page);
  disk.write(0, new Uint8Array(512));
  t.deepEqual([...disk.unchanged(all)], [], 'nothing is known without a watch');
  disk.watch(true);
  disk.write(4096 - 1, new Uint8Array(2));
  disk.zero(4 * 4096, 4096, true);
  disk.trim(10 * 4096, 512);
  t.deepEqual([...disk.unchanged(all)], [2, 3, 5, 6, 7, 8, 9]);
  disk.watch(true);
  t.deepEqual([...disk.unchanged(all)], [...all]);
});
