import test from 'ava';
import { CaptureSlots } from '../../../primary/capture/capture-slots.ts';
import { takeCheckpoint } from '../../../primary/capture/checkpoint.ts';
import { WrittenPages } from '../../../primary/capture/written-pages.ts';
import type { Guest } from '../../../shared/guest/guest.ts';

/** A guest of which each step takes a millisecond, and what was done to it. */
function startGuest({ wakes }: { readonly wakes: () => void }) {
  let ms = 100;
  const steps: string[] = [];
  const step = async (name: string): Promise<void> => {
    steps.push(name);
    ms += 1;
  };
  const guest = {
    memory: { pageCount: 8, copyPages: () => {} },
    wake: async () => {
      await step('wake');
      wakes();
    },
    pause: () => step('pause'),
    saveDeviceState: async () => {
      await step('save');
      return new Uint8Array(8);
    },
    resume: () => step('resume'),
  } as unknown as Guest;
  const tracker = { kind: 'scan', arm: () => {}, collect: () => {}, close: () => {} } as const;
  const buffer = {
    captureBuffer: new Uint8Array(8 * 4096),
    captureCapacityPages: 8,
    capturePages: new Uint32Array(8),
  };
  const checkpoint = () =>
    takeCheckpoint({
      guest,
      clock: { nowMs: () => ms },
      written: new WrittenPages(tracker, 8),
      slots: new CaptureSlots(guest.memory, { shards: [buffer], shardOf: () => 0 }),
      withBaseline: false,
      drain: () => Promise.reject(new Error('nothing to drain')),
    });
  return { checkpoint, steps };
}

test('QEMU is woken while the guest runs: that is in no pause', async (t) => {
  const { checkpoint, steps } = startGuest({ wakes: () => {} });
  const { pausedAtMs, pauseMs } = await checkpoint();
  t.deepEqual(steps, ['wake', 'pause', 'save', 'resume']);
  t.is(pausedAtMs, 101);
  t.is(pauseMs, 3);
});

test('a QEMU that can not be woken has its guest neither stopped nor let run', async (t) => {
  const gone = new Error('QEMU is gone');
  const { checkpoint, steps } = startGuest({
    wakes: () => {
      throw gone;
    },
  });
  t.is(await t.throwsAsync(checkpoint()), gone);
  t.deepEqual(steps, ['wake']);
});
