import test from 'ava';
import { WaitingGuest } from '../../primary/waiting-guest.ts';
import { SyntheticGuest } from '../../shared/guest/synthetic-guest.ts';
import type { GuestName } from '../../shared/ids.ts';

const newGuest = () =>
  new SyntheticGuest({ name: 'w' as GuestName, memoryBytes: 2 ** 20, seed: 3, workloads: [] });

test('direct I/O is counted through a guest that may wait', async (t) => {
  const counted = Object.assign(newGuest(), { directIoMark: async () => 7 });
  t.is(await new WaitingGuest(counted, false).directIoMark(), 7);
  t.is(await new WaitingGuest(newGuest(), false).directIoMark(), 0);
});
