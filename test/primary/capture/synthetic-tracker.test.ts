import test from 'ava';
import { SyntheticTracker } from '../../../primary/capture/synthetic-tracker.ts';
import { SyntheticGuest } from '../../../shared/guest/synthetic-guest.ts';
import type { GuestName } from '../../../shared/ids.ts';
import { PageSet } from '../../../shared/page-set.ts';

test('each write is reported in exactly one collect, and none from before arm', (t) => {
  const guest = new SyntheticGuest({ name: 'g' as GuestName, memoryBytes: 2 ** 22, seed: 1 });
  const tracker = new SyntheticTracker(guest);
  const dirty = new PageSet(guest.memory.pageCount);
  t.throws(() => tracker.collect(dirty), { message: /before it was armed/ });
  tracker.arm();
  tracker.collect(dirty);
  t.is(dirty.size, 0);
  guest.write(3);
  tracker.collect(dirty);
  t.true(dirty.size > 1 && dirty.has(0));
  const next = new PageSet(guest.memory.pageCount);
  tracker.collect(next);
  t.is(next.size, 0);
  tracker.close();
});
