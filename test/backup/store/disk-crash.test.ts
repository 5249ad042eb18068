import fs, {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { ArrayMemory } from './array-memory.ts';
import { damagesOf, scriptedDiskBytes } from './scripted-disk.ts';
import type { ScriptedEpoch, ScriptStep } from './scripted-epochs.ts';

/**
 * A backup that ends at any of its changes to a file. From then on none of its changes is made,
 * which leaves what a kill leaves (`crash.test.ts` kills for real). What is there is opened again:
 * the disk must be that of the epoch that is held.
 */

let changes = 0;
/** The change at which everything ends; 0: none. */
let endsAt = 0;
let torn = false;

class Ended extends Error {}

/** True where the change is the last one, and is to be made by half. */
function isHalf(): boolean {
  changes += 1;
  if (endsAt === 0 || changes < endsAt) return false;
  if (changes === endsAt && torn) return true;
  throw new Ended();
}

type WriteSync = (fd: number, from: Uint8Array, at: number, bytes: number, to: number) => number;
const patched = fs as unknown as {
  writeSync: WriteSync;
  ftruncateSync(fd: number, bytes: number): void;
  renameSync(from: string, to: string): void;
  unlinkSync(path: string): void;
};
const plain = { ...patched };
patched.writeSync = (fd, from, at, bytes, to) => {
  if (!isHalf()) return plain.writeSync(fd, from, at, bytes, to);
  plain.writeSync(fd, from, at, bytes >> 1, to);
  throw new Ended();
};
for (const name of ['ftruncateSync', 'renameSync', 'unlinkSync'] as const) {
  (patched as Record<string, unknown>)[name] = (...args: never[]) => {
    if (isHalf()) throw new Ended();
    (plain[name] as (...args: never[]) => void)(...args);
  };
}
syncBuiltinESMExports();

// Only now: these modules take the patched functions.
const { DiskImage } = await import('../../../shared/disk/disk-image.ts');
const { DiskReplica } = await import('../../../backup/store/disk-replica.ts');
const { ReplicaStore } = await import('../../../backup/store/replica-store.ts');
const { collect, deliver, scriptedEpochs } = await import('./scripted-epochs.ts');

const root = mkdtempSync('/dev/shm/understudy-disk-crash-');
test.after.always(() => rmSync(root, { recursive: true, force: true }));

const pageCount = 64;
/** The first synchronisation goes to the disk at once, the second one waits, the last does both. */
const steps: readonly ScriptStep[] = [
  { session: 'a', kind: 'sync', pages: 8, diskChanges: 5 },
  { session: 'a', kind: 'delta', pages: 3, diskChanges: 6 },
  { session: 'a', kind: 'delta', pages: 2, diskChanges: 0 },
  { session: 'b', kind: 'sync', pages: 4, diskChanges: 4 },
  { session: 'b', kind: 'delta', pages: 2, diskChanges: 3 },
  { session: 'c', kind: 'sync', pages: 6, diskChanges: 20 },
  { session: 'c', kind: 'delta', pages: 2, diskChanges: 2 },
];

async function openStore(folder: string, memory: ArrayMemory, writable = true) {
  const image = join(folder, 'disk.raw');
  const journalBytesMax = 60_000;
  return await ReplicaStore.open({
    ...{ folder: join(folder, 'replica'), guest: 'crash' as never, memory },
    stagingBytesMax: 40 * 4096,
    disks: new DiskReplica({
      ...{ folder: join(folder, 'journal'), journalBytesMax },
      images: [DiskImage.open(image, writable, false)],
    }),
  });
}

function newFolder(): string {
  const folder = mkdtempSync(join(root, 'run-'));
  mkdirSync(join(folder, 'replica'));
  writeFileSync(join(folder, 'disk.raw'), '');
  truncateSync(join(folder, 'disk.raw'), scriptedDiskBytes);
  return folder;
}

/** Delivers the script until the end comes. Returns how many commits had returned. */
async function runToEnd(
  { folder, memory }: { folder: string; memory: ArrayMemory },
  script: readonly ScriptedEpoch[],
  end: { at: number; torn: boolean },
): Promise<number> {
  changes = 0;
  endsAt = end.at;
  torn = end.torn;
  let held = 0;
  let store: Awaited<ReturnType<typeof openStore>> | undefined;
  try {
    store = await openStore(folder, memory);
    for (const scripted of script) {
      await deliver(store, scripted);
      held += 1;
    }
  } catch (error) {
    if (!(error instanceof Ended)) throw error;
  } finally {
    store?.close();
    endsAt = 0;
  }
  return held;
}

async function checkRemains(
  t: ExecutionContext,
  { folder, memory }: { folder: string; memory: ArrayMemory },
  script: readonly ScriptedEpoch[],
  held: number,
  what: string,
): Promise<'last' | 'next' | 'nothing'> {
  const store = await openStore(folder, memory);
  t.is(store.problem, null, what);
  const disk = () => readFileSync(join(folder, 'disk.raw'));
  const found = store.holds();
  let index = held - 1;
  if (found === null) {
    t.true(held === 0 || script[held]?.start.session === 'c', `${what}: nothing is held`);
  } else {
    const at = script.findIndex(
      ({ start }) => start.session === found.session && start.epoch === found.epoch,
    );
    t.true(at === held - 1 || at === held, `${what}: holds ${found.session} ${found.epoch}`);
    index = at;
    t.true(disk().equals(script[at]!.disk!.image), `${what}: not the disk of the epoch`);
    t.true(Buffer.from(script[at]!.ram).equals(memory.bytes), `${what}: not the RAM`);
  }
  for (const next of script.slice(index + 1, index + 3)) {
    await deliver(store, next);
    t.true(disk().equals(next.disk!.image), `${what}: the disk after going on`);
  }
  store.close();
  if (found === null) return 'nothing';
  return index === held ? 'next' : 'last';
}

test('at whatever change to a file a backup ends, its disk is that of the epoch that it holds', async (t) => {
  const script = await collect(scriptedEpochs(11, pageCount, steps));
  const whole = { folder: newFolder(), memory: new ArrayMemory(pageCount) };
  t.is(await runToEnd(whole, script, { at: 0, torn: false }), script.length);
  const count = changes;
  t.true(count > 60, `${count} changes`);
  const outcomes = new Set<string>();
  for (let at = 1; at <= count; at++) {
    const torn = at % 2 === 0;
    const run = { folder: newFolder(), memory: new ArrayMemory(pageCount) };
    const held = await runToEnd(run, script, { at, torn });
    const what = `ended at change ${at}${torn ? ', torn' : ''}, ${held} epochs held`;
    outcomes.add(await checkRemains(t, run, script, held, what));
    rmSync(run.folder, { recursive: true });
  }
  t.deepEqual([...outcomes].sort(), ['last', 'next', 'nothing']);
});

test('a sealed journal cut off or damaged at any byte is told, and the disk is of an epoch', async (t) => {
  const script = await collect(
    scriptedEpochs(12, 16, [
      { session: 'a', kind: 'sync', pages: 4, diskChanges: 5 },
      { session: 'a', kind: 'delta', pages: 2, diskChanges: 3, diskChangeBytesMax: 40 },
    ]),
  );
  const [before, last] = script as [ScriptedEpoch, ScriptedEpoch];
  const run = { folder: newFolder(), memory: new ArrayMemory(16) };
  const at = (name: string) => join(run.folder, name);
  let store = await openStore(run.folder, run.memory);
  await deliver(store, before);
  store.close();
  // The disk can't be written: the epoch is sealed, and its journal left to the next process.
  store = await openStore(run.folder, run.memory, false);
  await t.throwsAsync(deliver(store, last), { code: 'E_DISK_IO' });
  store.close();
  const ram = run.memory.bytes.slice();
  copyFileSync(at('replica/state'), at('state'));
  const journal = at(`journal/epoch-${last.start.epoch}`);
  const whole = readFileSync(journal);
  t.true(whole.length > 80 && whole.length < 300, `${whole.length} bytes`);
  let count = 0;
  for (const [what, damage] of [...damagesOf(whole), ['whole', whole] as const]) {
    copyFileSync(at('state'), at('replica/state'));
    writeFileSync(at('disk.raw'), before.disk!.image);
    writeFileSync(journal, damage);
    run.memory.bytes.set(ram);
    store = await openStore(run.folder, run.memory);
    const { problem } = store;
    const isWhole = damage === whole;
    const image = (isWhole ? last : before).disk!.image;
    const held = isWhole ? last.start.epoch : undefined;
    if (
      store.holds()?.epoch !== held ||
      problem?.code !== (isWhole ? undefined : 'E_REPLICA_CORRUPT')
    )
      t.fail(`${what}: ${problem?.message}, holds ${store.holds()?.epoch}`);
    if (!readFileSync(at('disk.raw')).equals(image)) t.fail(`${what}: the disk is of no epoch`);
    store.close();
    count += 1;
  }
  t.is(count, 2 * whole.length + 1);
});
