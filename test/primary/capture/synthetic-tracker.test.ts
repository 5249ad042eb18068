import test from 'ava';
import { SyntheticTracker } from '../../../primary/capture/synthetic-tracker.ts';
import { SyntheticGuest } from '../../../shared/guest/synthetic-guest.ts';
import type { GuestName } from '../../../shared/ids.ts';
import { PageSet } from '../../../shared/page-set.ts';

test('each write is reported in exactly one collect, those before arm only without it', (t) => {
  const guest = new SyntheticGuest({ name: 'g' as GuestName, memoryBytes: 2 ** 22, seed: 1 });
  const tracker = new SyntheticTracker(guest);
  const dirty = new PageSet(guest.memory.pageCount);
  tracker.collect(dirty);
  t.true(dirty.size > 0, 'all that the guest wrote since it was made');
  dirty.clear();
  guest.write(1);
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
