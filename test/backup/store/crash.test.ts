import { execFile, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { ReplicaStore } from '../../../backup/store/replica-store.ts';
import { pageBytes } from '../../../shared/ids.ts';
import { RamFile } from '../../../shared/memory/ram-file.ts';
import { Random } from '../../../shared/random.ts';
import type { CrashOrder } from './crash-child.ts';
import {
  collect,
  deliver,
  type ScriptedEpoch,
  type ScriptStep,
  scriptedEpochs,
} from './scripted-epochs.ts';

/**
 * A backup is killed by SIGKILL; what it left is opened again. RAM, device state and baseline
 * must then be exactly one epoch's, `holds` must name it, and no epoch may be lost of which
 * `commit` had returned.
 */

const root = mkdtempSync('/dev/shm/understudy-crash-');
test.after.always(() => rmSync(root, { recursive: true, force: true }));

const child = fileURLToPath(new URL('./crash-child.js', import.meta.url));

const small = { seed: 11, pageCount: 64, stagingBytesMax: 20 * pageBytes };
/** The first and the last synchronisation go in place, the second one is staged. */
const everyPath: readonly ScriptStep[] = [
  { session: 'a', kind: 'sync', pages: 30 },
  { session: 'a', kind: 'delta', pages: 9 },
  { session: 'a', kind: 'delta', pages: 14, withBaseline: true },
  { session: 'b', kind: 'sync', pages: 12 },
  { session: 'b', kind: 'delta', pages: 3 },
  { session: 'c', kind: 'sync', pages: 33 },
  { session: 'c', kind: 'delta', pages: 11 },
];

test('killed before or halfway through any change to a file, it holds one whole epoch', async (t) => {
  const script = await collect(scriptedEpochs(small.seed, small.pageCount, everyPath));
  const order = { ...small, steps: everyPath };
  const whole = await runToDeath({ ...order, folder: newFolder(small.pageCount) }, 0, false);
  t.is(whole.held, script.length);
  t.true(whole.changes > 80, `${whole.changes} changes`);

  const points: { at: number; torn: boolean }[] = [];
  for (let at = 1; at <= whole.changes; at++) points.push({ at, torn: at % 2 === 0 });
  for (let at = 1; at <= whole.changes; at += 3) points.push({ at, torn: at % 2 === 1 });
  const outcomes = new Set<string>();
  await inParallel(2, points, async ({ at, torn }) => {
    const folder = newFolder(small.pageCount);
    const died = await runToDeath({ ...order, folder }, at, torn);
    t.is(died.signal, 'SIGKILL');
    const what = `killed at change ${at}${torn ? ', torn' : ''}, ${died.held} epochs held`;
    outcomes.add(await checkRemains(t, folder, script, died.held, what));
    rmSync(folder, { recursive: true });
  });
  // The points reach each side of the seal, and the state in which nothing is held.
  t.deepEqual([...outcomes].sort(), ['last', 'next', 'nothing']);
});

test('killed at any moment of a long run, it holds one whole epoch and goes on', async (t) => {
  const seed = Date.now() % 100_000;
  t.log(`seed ${seed}`);
  const random = new Random(seed);
  const steps: ScriptStep[] = [{ session: 'a', kind: 'sync', pages: 3000 }];
  for (let i = 0; i < 120; i++) steps.push({ session: 'a', kind: 'delta', pages: 500 });
  const size = { seed, pageCount: 4096, stagingBytesMax: 1000 * pageBytes };
  let progressed = 0;
  for (let run = 0; run < 12; run++) {
    const folder = newFolder(size.pageCount);
    const order: CrashOrder = { ...size, folder, steps, killAtChange: 0, torn: false };
    const held = await runAndKill(order, random.below(600));
    progressed += held;
    const expected: ScriptedEpoch[] = [];
    let index = 0;
    for await (const scripted of scriptedEpochs(seed, size.pageCount, steps)) {
      const isNear = index >= held - 1 && index <= held + 1;
      expected.push(isNear ? { ...scripted, ram: scripted.ram.slice() } : scripted);
      if (++index > held + 1) break;
    }
    await checkRemains(t, folder, expected, held, `run ${run}, ${held} epochs held`);
    rmSync(folder, { recursive: true });
  }
  t.true(progressed > 12, 'epochs were committed before the kills');
});

/**
 * Opens what a killed process left after `held` commits had returned. Returns which epoch is
 * there: the `last` one that was known to be held, the `next` one, or `nothing`.
 */
async function checkRemains(
  t: ExecutionContext,
  folder: string,
  script: readonly ScriptedEpoch[],
  held: number,
  what: string,
): Promise<'last' | 'next' | 'nothing'> {
  const { pageCount } = script[0]!.settings;
  const memory = RamFile.open(join(folder, 'ram'), pageCount * pageBytes);
  let store = await openStore(folder, memory);
  t.is(store.problem, null, what);
  const found = store.holds();
  let outcome: 'last' | 'next' | 'nothing' = 'nothing';
  let index = held - 1;
  if (found === null) {
    const next = script[held];
    const maySync = next?.start.kind === 'sync' && next.batches.length > 0;
    t.true(held === 0 || (maySync && isInPlace(next)), `${what}: nothing is held`);
  } else {
    const isNext = isOf(found, script[held]);
    outcome = isNext ? 'next' : 'last';
    index = isNext ? held : held - 1;
    const expected = script[index]!;
    t.true(isOf(found, expected), `${what}: holds ${found.session} ${found.epoch}`);
    t.is(found.ramDigest, expected.ramDigest, what);
    t.true(sameRam(memory, expected.ram), `${what}: RAM is not that of ${found.epoch}`);
    t.is(await store.fullRamDigest(), expected.ramDigest, what);
  }
  // It goes on from there.
  const next = script[index + 1];
  if (next !== undefined) {
    await deliver(store, next);
    t.true(sameRam(memory, next.ram), `${what}: RAM after going on`);
    index += 1;
  }
  store.close();
  store = await openStore(folder, memory);
  const takeover = await store.takeForTakeover();
  t.is(Buffer.compare(takeover.deviceState, script[index]!.deviceState), 0, what);
  t.is(Buffer.compare(takeover.baseline, script[index]!.baselineInForce), 0, what);
  store.close();
  memory.close();
  return outcome;
}

const isOf = (
  found: { session: string; epoch: number },
  scripted: ScriptedEpoch | undefined,
): boolean =>
  scripted !== undefined &&
  found.session === scripted.start.session &&
  found.epoch === scripted.start.epoch;

/** A synchronisation that the small store can't stage. */
const isInPlace = (scripted: ScriptedEpoch): boolean =>
  new Set(scripted.batches.flatMap(({ pages }) => [...pages])).size * pageBytes >
  small.stagingBytesMax;

function sameRam(memory: RamFile, expected: Uint8Array): boolean {
  const found = new Uint8Array(expected.length);
  memory.readRange(0, memory.pageCount, found, 0);
  return Buffer.compare(found, expected) === 0;
}

function openStore(folder: string, memory: RamFile): Promise<ReplicaStore> {
  return ReplicaStore.open({
    folder: join(folder, 'replica'),
    guest: 'crash' as never,
    memory,
    stagingBytesMax: memory.pageCount === small.pageCount ? small.stagingBytesMax : 2 ** 22,
  });
}

let folders = 0;

function newFolder(pageCount: number): string {
  const folder = join(root, String(folders++));
  mkdirSync(folder);
  RamFile.create(join(folder, 'ram'), pageCount * pageBytes).close();
  return folder;
}

interface Death {
  readonly signal: string | null;
  /** Commits that had returned. */
  readonly held: number;
  /** Changes to the file system, where the child came to its end. */
  readonly changes: number;
}

function runToDeath(
  order: Omit<CrashOrder, 'killAtChange' | 'torn'>,
  killAtChange: number,
  torn: boolean,
): Promise<Death> {
  const full: CrashOrder = { ...order, killAtChange, torn };
  return new Promise((resolve, reject) => {
    const options = { timeout: 300_000, killSignal: 'SIGABRT' } as const;
    execFile(process.execPath, [child, JSON.stringify(full)], options, (error, stdout, stderr) => {
      if (error !== null && error.signal !== 'SIGKILL') return reject(new Error(stderr));
      resolve({
        signal: error?.signal ?? null,
        held: stdout.split('\n').filter((line) => line.startsWith('held ')).length,
        changes: Number(/changes (\d+)/.exec(stdout)?.[1] ?? 0),
      });
    });
  });
}

/** Kills the child some milliseconds after its first commit. Returns the commits that returned. */
async function runAndKill(order: CrashOrder, afterMs: number): Promise<number> {
  const running = spawn(process.execPath, [child, JSON.stringify(order)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let held = 0;
  const lines = createInterface({ input: running.stdout });
  const first = new Promise<void>((resolve) => {
    lines.on('line', (line) => {
      if (line.startsWith('held ')) held += 1;
      resolve();
    });
    lines.on('close', resolve);
  });
  const ended = new Promise((resolve) => lines.on('close', resolve));
  try {
    await first;
    await sleep(afterMs);
  } finally {
    running.kill('SIGKILL');
  }
  await ended;
  return held;
}

async function inParallel<T>(
  lanes: number,
  items: readonly T[],
  work: (item: T) => Promise<void>,
): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < items.length) await work(items[next++]!);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}
