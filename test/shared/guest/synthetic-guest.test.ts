import test from 'ava';
import type { GuestEvent } from '../../../shared/guest/guest.ts';
import { SyntheticGuest, type SyntheticOptions } from '../../../shared/guest/synthetic-guest.ts';
import { workloadNames } from '../../../shared/guest/workload/catalog.ts';
import type { GuestName } from '../../../shared/ids.ts';
import { PageSet } from '../../../shared/page-set.ts';
import { differingPages, fullRam } from './full-ram.ts';

const mib = 2 ** 20;

function makeGuest(options: Partial<SyntheticOptions> = {}): SyntheticGuest {
  return new SyntheticGuest({ name: 'g' as GuestName, memoryBytes: 8 * mib, seed: 1, ...options });
}

function takeDirty(guest: SyntheticGuest): number[] {
  const dirty = new PageSet(guest.memory.pageCount);
  guest.takeDirty(dirty);
  const pages = new Uint32Array(dirty.size);
  dirty.take(0, pages);
  return [...pages];
}

test('the same seed gives the same bytes and dirty pages, another seed others', (t) => {
  const run = (seed: number): { ram: Buffer; dirty: number[]; checksum: number } => {
    const guest = makeGuest({ seed });
    takeDirty(guest);
    guest.advance(7);
    guest.write(50);
    return { ram: fullRam(guest.memory), dirty: takeDirty(guest), checksum: guest.checksum };
  };
  const first = run(5);
  const again = run(5);
  t.true(first.ram.equals(again.ram));
  t.deepEqual(first.dirty, again.dirty);
  t.is(first.checksum, again.checksum);
  const other = run(6);
  t.false(first.ram.equals(other.ram));
  t.not(first.checksum, other.checksum);
});

test('how guest time is cut into steps does not change the bytes', (t) => {
  const one = makeGuest();
  const many = makeGuest();
  t.is(
    one.advance(30),
    Array.from({ length: 60 }, () => many.advance(0.5)).reduce((sum, n) => sum + n, 0),
  );
  t.true(one.counter > 500);
  t.is(one.checksum, many.checksum);
  t.true(fullRam(one.memory).equals(fullRam(many.memory)));
});

for (const workload of workloadNames) {
  test(`${workload}: dirty pages are exactly those whose bytes changed, write by write`, (t) => {
    const workloads = [{ workload, share: 0.5, writesPerSecond: 1000 }];
    const guest = makeGuest({ memoryBytes: 2 * mib, workloads });
    takeDirty(guest);
    let before = fullRam(guest.memory);
    for (let i = 0; i < 300; i++) {
      t.is(guest.write(1), 1);
      const after = fullRam(guest.memory);
      const changed = differingPages(before, after);
      t.deepEqual(takeDirty(guest), changed);
      t.true(changed.length >= 2, 'a write changes a page besides the counter');
      before = after;
    }
  });

  test(`${workload}: an epoch's changed pages are all reported`, (t) => {
    const workloads = [{ workload, share: 0.5, writesPerSecond: 20_000 }];
    const guest = makeGuest({ workloads });
    takeDirty(guest);
    const before = fullRam(guest.memory);
    t.is(guest.advance(40), 800);
    const dirty = new Set(takeDirty(guest));
    const changed = differingPages(before, fullRam(guest.memory));
    t.deepEqual(
      changed.filter((page) => !dirty.has(page)),
      [],
    );
    // A page may get its old bytes back; most do not.
    t.true(changed.length > dirty.size * 0.9);
  });
}

test('just over half of a fresh guest is zero, the rest is not all alike', (t) => {
  const guest = makeGuest({ memoryBytes: 64 * mib });
  const ram = fullRam(guest.memory);
  const zeros = guest.memory.pageCount - differingPages(Buffer.alloc(ram.length), ram).length;
  const share = zeros / guest.memory.pageCount;
  t.true(share > 0.5 && share < 0.6, `share of zero pages: ${share}`);
});

test('a paused guest does nothing, however long it is waited', async (t) => {
  const guest = makeGuest();
  guest.advance(5);
  takeDirty(guest);
  await guest.pause();
  const counter = guest.counter;
  t.is(guest.advance(1000), 0);
  t.is(guest.write(10), 0);
  t.is(guest.counter, counter);
  t.deepEqual(takeDirty(guest), []);
  await guest.resume();
  t.true(guest.advance(5) > 0);
});

test('a device that cannot be saved is a typed error and can be mended', async (t) => {
  const guest = makeGuest();
  await guest.pause();
  guest.setUnsavable('vfio-pci');
  await t.throwsAsync(guest.saveDeviceState(), { code: 'E_GUEST_UNSAVABLE', message: /vfio-pci/ });
  await t.throwsAsync(guest.saveBaseline(), { code: 'E_GUEST_UNSAVABLE' });
  guest.setUnsavable(undefined);
  t.true((await guest.saveDeviceState()).length > 0);
});

test('a hanging pause ends when it is released, or when the guest is gone', async (t) => {
  const guest = makeGuest();
  const release = guest.hangPause();
  let paused = false;
  const pause = guest.pause().then(() => {
    paused = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 20));
  t.false(paused);
  t.true(guest.advance(5) > 0, 'a guest that was not paused runs on');
  release();
  await pause;
  t.true(paused);
  await guest.resume();
  guest.hangPause();
  const lost = guest.pause();
  guest.vanish('killed');
  await t.throwsAsync(lost, { code: 'E_GUEST_GONE' });
  await t.throwsAsync(guest.resume(), { code: 'E_GUEST_GONE' });
});

test('events come after the call that caused them, until the listener is taken off', async (t) => {
  const guest = makeGuest();
  const events: GuestEvent[] = [];
  const stop = guest.onEvent((event) => events.push(event));
  guest.stopByOther('operator');
  t.false(guest.isRunning);
  guest.resumeByOther();
  guest.reset();
  guest.shutDown(true);
  t.deepEqual(events, []);
  await new Promise((resolve) => setImmediate(resolve));
  t.deepEqual(
    events.map((event) => event.kind),
    ['stopped', 'resumed', 'reset', 'shutdown'],
  );
  stop();
  guest.vanish('end of test');
  await new Promise((resolve) => setImmediate(resolve));
  t.is(events.length, 4);
});

test('a reboot replaces RAM, reports all of it dirty, and the counter goes on', (t) => {
  const guest = makeGuest();
  guest.advance(10);
  const before = fullRam(guest.memory);
  takeDirty(guest);
  const counter = guest.counter;
  guest.reset();
  const dirty = new Set(takeDirty(guest));
  const changed = differingPages(before, fullRam(guest.memory));
  t.true(changed.length > 500);
  t.deepEqual(
    changed.filter((page) => !dirty.has(page)),
    [],
  );
  t.is(guest.counter, counter);
  t.true(guest.advance(10) > 0);
});
