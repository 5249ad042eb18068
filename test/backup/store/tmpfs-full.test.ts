import { mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { pageBytes } from '../../../shared/ids.ts';
import { RamFile } from '../../../shared/memory/ram-file.ts';
import { mountTmpfs } from '../../tmpfs.ts';
import { ArrayMemory } from './array-memory.ts';
import { collect, deliver, type ScriptStep, scriptedEpochs } from './scripted-epochs.ts';
import { newFolder, StoreCase } from './store-case.ts';

/** A tmpfs that is full drops the epoch that needed room, and nothing else. */

const steps: readonly ScriptStep[] = [
  { session: 'a', kind: 'sync', pages: 40 },
  { session: 'a', kind: 'delta', pages: 10 },
  { session: 'a', kind: 'delta', pages: 60 },
  { session: 'a', kind: 'delta', pages: 12 },
];
const pageCount = 128;

const inFull = process.getuid?.() === 0 ? test : test.skip;

inFull('with the tmpfs full at any amount of room, the epoch before stays whole', async (t) => {
  const epochs = await collect(scriptedEpochs(31, pageCount, steps));
  const root = mkdtempSync('/dev/shm/understudy-full-');
  const unmount = mountTmpfs(root, '2m');
  try {
    let refused = 0;
    let committed = 0;
    for (let free = 0; free < 130; free += 3) {
      mkdirSync(join(root, 'guest'));
      const memory = RamFile.create(join(root, 'guest/ram'), pageCount * pageBytes);
      const at = new StoreCase(memory, 100, newFolder(join(root, 'guest')));
      let store = await at.open();
      await deliver(store, epochs[0]!);
      await deliver(store, epochs[1]!);
      fill(root, free);
      let held = epochs[1]!;
      try {
        await deliver(store, epochs[2]!);
        held = epochs[2]!;
        committed += 1;
      } catch (error) {
        t.like(error, { code: 'E_TMPFS_FULL' }, `${free} pages free`);
        t.regex((error as { hint: string }).hint, /size/);
        refused += 1;
      }
      for (let opened = 0; opened < 2; opened++) {
        t.is(store.holds()?.ramDigest, held.ramDigest, `${free} pages free`);
        const ram = new Uint8Array(pageCount * pageBytes);
        memory.readRange(0, pageCount, ram, 0);
        t.is(Buffer.compare(ram, held.ram), 0, `${free} pages free`);
        store = await at.open();
      }
      // With room again it goes on.
      rmSync(join(root, 'filler'));
      if (held === epochs[1]) await deliver(store, epochs[2]!);
      await deliver(store, epochs[3]!);
      t.is(await store.fullRamDigest(), epochs[3]!.ramDigest);
      at.remove();
      memory.remove();
      rmSync(join(root, 'guest'), { recursive: true });
    }
    t.true(refused > 3 && committed > 3, `${refused} refused, ${committed} committed`);
  } finally {
    unmount();
    rmSync(root, { recursive: true });
  }
});

test('holes of RAM are given memory before an epoch is sealed', async (t) => {
  const epochs = await collect(scriptedEpochs(31, pageCount, steps));
  const at = new StoreCase(new ArrayMemory(pageCount), 100);
  try {
    const store = await at.open();
    await deliver(store, epochs[0]!);
    await deliver(store, epochs[1]!);
    at.memory.roomPages = 20;
    await t.throwsAsync(deliver(store, epochs[2]!), { code: 'E_TMPFS_FULL' });
    t.is(store.holds()?.ramDigest, epochs[1]!.ramDigest);
    t.is(Buffer.compare(at.memory.bytes, epochs[1]!.ram), 0);
    at.memory.roomPages = pageCount;
    await deliver(store, epochs[2]!);
    t.is(Buffer.compare(at.memory.bytes, epochs[2]!.ram), 0);
  } finally {
    at.remove();
  }
});

test('a synchronisation in place that finds no room holds nothing and can start again', async (t) => {
  const epochs = await collect(scriptedEpochs(31, pageCount, steps));
  const at = new StoreCase(new ArrayMemory(pageCount), 100);
  try {
    const store = await at.open();
    at.memory.roomPages = 15;
    await t.throwsAsync(deliver(store, epochs[0]!), { code: 'E_TMPFS_FULL' });
    t.is(store.holds(), null);
    at.memory.roomPages = pageCount;
    await deliver(store, epochs[0]!);
    t.is(store.holds()?.ramDigest, epochs[0]!.ramDigest);
    t.is(Buffer.compare(at.memory.bytes, epochs[0]!.ram), 0);
  } finally {
    at.remove();
  }
});

/** Leaves `freePages` pages of the file system. */
function fill(root: string, freePages: number): void {
  const { bavail, bsize } = statfsSync(root);
  const pages = (bavail * bsize) / pageBytes - freePages;
  writeFileSync(join(root, 'filler'), new Uint8Array(Math.max(0, pages) * pageBytes));
}
