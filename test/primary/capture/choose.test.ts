import test from 'ava';
import { chooseTracker } from '../../../primary/capture/choose.ts';
import { kernelHasSoftDirty } from '../../../primary/capture/soft-dirty.ts';
import { secretBytes } from '../../../shared/codec/codec-settings.ts';
import { isUnderstudyError } from '../../../shared/errors.ts';
import { QemuGuest } from '../../../shared/qemu/qemu-guest.ts';
import { counterLab } from '../../shared/qemu/counter-guest.ts';

/** None of its threads is started before `arm`. */
const unused: Parameters<typeof chooseTracker>[2] = {
  hash: { blockBytes: 64, hash: 'xxh3', secret: new Uint8Array(secretBytes) },
  threads: 1,
};

test('auto takes the cheapest tracker that works and says why; a refusal is an error', async (t) => {
  const lab = counterLab({});
  t.teardown(lab.remove);
  const guest = await QemuGuest.start(lab.config, { paused: true });
  t.teardown(async () => {
    await guest.terminate();
    await guest.detach();
  });
  const best = chooseTracker('auto', guest.tracked, unused);
  t.is(best.tracker.kind, 'write-protect');
  t.regex(best.why, /works here/);
  best.tracker.close();

  const without = { ...guest.tracked, shimStatusPath: `${lab.folder}/absent` };
  const next = chooseTracker('auto', without, unused);
  t.is(next.tracker.kind, kernelHasSoftDirty() ? 'soft-dirty' : 'scan');
  t.regex(next.why, /because write-protect can't be used: QEMU was started without/);
  next.tracker.close();

  const error = t.throws(() => chooseTracker('write-protect', without, unused));
  t.true(isUnderstudyError(error, 'E_TRACKER_UNAVAILABLE'));
  t.is(chooseTracker('scan', without, unused).tracker.kind, 'scan');
});
