import test from 'ava';
import {
  describeSynthetic,
  keyValueMix,
  SyntheticGuest,
} from '../../../shared/guest/synthetic-guest.ts';
import { SyntheticMemory } from '../../../shared/guest/synthetic-memory.ts';
import { SyntheticStandby } from '../../../shared/guest/synthetic-standby.ts';
import { workloadNames } from '../../../shared/guest/workload/catalog.ts';
import type { GuestName } from '../../../shared/ids.ts';
import type { GuestMemory } from '../../../shared/memory/guest-memory.ts';
import { fullRam } from './full-ram.ts';

const memoryBytes = 8 * 2 ** 20;
const mix = workloadNames.map((workload) => ({ workload, share: 0.1, writesPerSecond: 5000 }));

/** The checkpoint of a guest that ran for `ms`, and the guest, which runs on. */
async function checkpoint(ms: number) {
  const name = 'g' as GuestName;
  const guest = new SyntheticGuest({ name, memoryBytes, seed: 9, workloads: mix });
  guest.advance(ms);
  guest.write(33);
  await guest.pause();
  const [baseline, state] = [await guest.saveBaseline(), await guest.saveDeviceState()];
  const ram = copyOf(guest.memory);
  await guest.resume();
  return { guest, baseline, state, ram };
}

function copyOf(memory: SyntheticMemory): SyntheticMemory {
  const copy = new SyntheticMemory(memory.pageCount * 4096);
  const pages = Uint32Array.from({ length: memory.pageCount }, (_, i) => i);
  copy.writePages(pages, pages.length, fullRam(memory), 0);
  return copy;
}

const description = describeSynthetic(memoryBytes, mix);

test('a resumed guest goes on exactly as the original would have', async (t) => {
  const { guest, baseline, state, ram } = await checkpoint(25);
  const standby = new SyntheticStandby(description, ram);
  await standby.load(baseline, state);
  const resumed = standby.resumeSynthetic();
  t.is(resumed.counter, guest.counter);
  t.deepEqual(resumed.description, guest.description);
  for (const each of [guest, resumed]) {
    each.advance(40);
    each.write(500);
  }
  t.is(resumed.counter, guest.counter);
  t.is(resumed.checksum, guest.checksum);
  t.true(fullRam(resumed.memory).equals(fullRam(guest.memory)));
});

test('a guest resumed from any memory, not only a synthetic one, goes on the same', async (t) => {
  const { guest, baseline, state, ram } = await checkpoint(10);
  const other: GuestMemory = {
    pageCount: ram.pageCount,
    copyPages: ram.copyPages.bind(ram),
    readRange: ram.readRange.bind(ram),
    nextData: ram.nextData.bind(ram),
  };
  const standby = new SyntheticStandby(description, other);
  await standby.load(baseline, state);
  const resumed = standby.resumeSynthetic();
  resumed.advance(20);
  guest.advance(20);
  t.is(resumed.checksum, guest.checksum);
  t.true(fullRam(resumed.memory).equals(fullRam(guest.memory)));
});

test('RAM of one epoch and device state of another are refused', async (t) => {
  const early = await checkpoint(10);
  const late = await checkpoint(20);
  const standby = new SyntheticStandby(description, early.ram);
  await t.throwsAsync(standby.load(late.baseline, late.state), { code: 'E_SYNTHETIC_STATE' });
  await t.throwsAsync(standby.resume(), { message: /before it was loaded/ });
});

test('a flipped bit or a missing byte in baseline or device state is refused', async (t) => {
  const { baseline, state, ram } = await checkpoint(5);
  const standby = new SyntheticStandby(description, ram);
  for (const at of [0, 5, 17, state.length >> 1, state.length - 1]) {
    const flipped = Uint8Array.from(state);
    flipped[at]! ^= 4;
    await t.throwsAsync(standby.load(baseline, flipped), { code: 'E_SYNTHETIC_STATE' });
  }
  for (const at of [0, 4, 9, 40, baseline.length - 1]) {
    const flipped = Uint8Array.from(baseline);
    flipped[at]! ^= 4;
    await t.throwsAsync(standby.load(flipped, state), { code: 'E_SYNTHETIC_STATE' });
  }
  for (const cut of [0, 3, 100, state.length - 1]) {
    const short = state.subarray(0, cut);
    await t.throwsAsync(standby.load(baseline, short), { code: 'E_SYNTHETIC_STATE' });
  }
  for (const cut of [0, 11, baseline.length - 1]) {
    const short = baseline.subarray(0, cut);
    await t.throwsAsync(standby.load(short, state), { code: 'E_SYNTHETIC_STATE' });
  }
  await standby.load(baseline, state);
});

test('a standby of another memory size is refused', async (t) => {
  const { baseline, state } = await checkpoint(5);
  const larger = new SyntheticMemory(2 * memoryBytes);
  const standby = new SyntheticStandby(describeSynthetic(2 * memoryBytes, keyValueMix), larger);
  await t.throwsAsync(standby.load(baseline, state), { message: /another memory size/ });
});

test('a standby that ended says so and does nothing more', async (t) => {
  const { baseline, state, ram } = await checkpoint(5);
  const standby = new SyntheticStandby(description, ram);
  const reasons: string[] = [];
  standby.onGone((reason) => reasons.push(reason));
  standby.vanish('killed');
  t.deepEqual(reasons, []);
  await new Promise((resolve) => setImmediate(resolve));
  t.deepEqual(reasons, ['killed']);
  await t.throwsAsync(standby.load(baseline, state), { code: 'E_STANDBY_GONE' });
});
