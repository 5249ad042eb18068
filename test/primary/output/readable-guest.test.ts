import test from 'ava';
import { readableGuest } from '../../../primary/output/readable-guest.ts';
import type { Guest } from '../../../shared/guest/guest.ts';

test('output is read before the guest is asked to stop, and until it runs again', async (t) => {
  const calls: string[] = [];
  const note = (name: string) => async () => {
    calls.push(name);
    return new Uint8Array();
  };
  const inner = {
    ...{ name: 'lab', instance: '0', pause: note('pause'), resume: note('resume') },
    ...{ saveDeviceState: note('devices'), saveBaseline: note('baseline'), detach: note('detach') },
    onEvent: () => () => calls.push('deaf'),
  } as unknown as Guest;
  const guest = readableGuest(inner, {
    pausing: () => calls.push('pausing'),
    resumed: () => calls.push('resumed'),
  });
  await guest.pause();
  await guest.saveDeviceState();
  await guest.saveBaseline();
  await guest.resume();
  guest.onEvent(() => {})();
  await guest.detach();
  const paused = ['pausing', 'pause', 'devices', 'baseline', 'resume', 'resumed'];
  t.deepEqual(calls, [...paused, 'deaf', 'detach']);
});

test('a guest that could not be resumed is still being read', async (t) => {
  const calls: string[] = [];
  const fails = () => Promise.reject(new Error('QEMU hangs'));
  const inner = { pause: async () => {}, resume: fails } as unknown as Guest;
  const guest = readableGuest(inner, {
    pausing: () => calls.push('pausing'),
    resumed: () => calls.push('resumed'),
  });
  await guest.pause();
  await t.throwsAsync(guest.resume());
  t.deepEqual(calls, ['pausing']);
});
