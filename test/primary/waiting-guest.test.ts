import test from 'ava';
import { WaitingGuest } from '../../primary/waiting-guest.ts';
import { SyntheticGuest } from '../../shared/guest/synthetic-guest.ts';
import type { GuestName } from '../../shared/ids.ts';

const newGuest = () =>
  new SyntheticGuest({ name: 'w' as GuestName, memoryBytes: 2 ** 20, seed: 3, workloads: [] });

test('direct I/O is counted through a guest that may wait', async (t) => {
  const counted = Object.assign(newGuest(), { directIoMark: async () => 7 });
  t.is(await new WaitingGuest(counted, 'running').directIoMark(), 7);
  t.is(await new WaitingGuest(newGuest(), 'running').directIoMark(), 0);
});

test('a guest that an agent left paused, or never let run, runs with the right to, and others as they are', async (t) => {
  for (const [found, mayBeLetRun] of [
    ['new', true],
    ['paused', true],
    ['running', false],
    ['stopped', false],
  ] as const) {
    let resumes = 0;
    const resume = async () => {
      resumes += 1;
    };
    const inner = Object.assign(newGuest(), { resume });
    const guest = new WaitingGuest(inner, found);
    t.is(guest.hasRun, found !== 'new');
    await guest.letRun();
    t.is(resumes, mayBeLetRun ? 1 : 0, found);
    await guest.letRun();
    t.is(resumes, mayBeLetRun ? 1 : 0, 'once');
  }
});
