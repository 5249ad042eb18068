import { cpSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import test from 'ava';
import { stateBytes } from '../../../backup/store/replica-state.ts';
import type { ReplicaStore } from '../../../backup/store/replica-store.ts';
import type { ArrayMemory } from './array-memory.ts';
import { collect, deliver, type ScriptedEpoch, scriptedEpochs } from './scripted-epochs.ts';
import { StoreCase } from './store-case.ts';

/**
 * Damage to any file of a replica, at rest: the store either holds exactly the epoch that it held,
 * or nothing, with an error that names the file. It never holds something else.
 */

const pageCount = 32;

const script = (): Promise<ScriptedEpoch[]> =>
  collect(
    scriptedEpochs(21, pageCount, [
      { session: 'a', kind: 'sync', pages: 20 },
      { session: 'a', kind: 'delta', pages: 7 },
      { session: 'a', kind: 'delta', pages: 6, withBaseline: true },
    ]),
  );

interface Prepared {
  readonly at: StoreCase;
  readonly epochs: readonly ScriptedEpoch[];
  /** RAM as it was left. */
  readonly ram: Uint8Array;
  /** Puts folder and RAM back as they were left. */
  restore(): void;
  remove(): void;
}

/** Three epochs; `failAt`: the writing of the third fails there, so that the journal is sealed. */
async function prepare(failAt: number | null): Promise<Prepared> {
  const at = StoreCase.array(pageCount, 20);
  const epochs = await script();
  const store = await at.open();
  await deliver(store, epochs[0]!);
  await deliver(store, epochs[1]!);
  if (failAt === null) await deliver(store, epochs[2]!);
  else await failDuringApply(store, at.memory, epochs[2]!, failAt);
  at.close();
  const kept = `${at.folder}.kept`;
  cpSync(at.folder, kept, { recursive: true });
  const ram = at.memory.bytes.slice();
  return {
    at,
    epochs,
    ram,
    restore: () => {
      at.close();
      rmSync(at.folder, { recursive: true });
      cpSync(kept, at.folder, { recursive: true });
      at.memory.bytes.set(ram);
    },
    remove: () => {
      at.remove();
      rmSync(kept, { recursive: true });
    },
  };
}

async function failDuringApply(
  store: ReplicaStore,
  memory: ArrayMemory,
  scripted: ScriptedEpoch,
  failAt: number,
): Promise<void> {
  const pages = new Set(scripted.batches.flatMap((batch) => [...batch.pages]));
  const holes = [...pages].filter((page) => !memory.written.has(page)).length;
  let writes = 0;
  memory.beforeWrite = () => {
    if (++writes > holes + failAt) throw new Error('stop here');
  };
  await deliver(store, scripted).catch(() => {});
  memory.beforeWrite = () => {};
  if (store.holds()?.epoch !== scripted.start.epoch) throw new Error('it was not sealed');
}

/** The file that the last store named as damaged. */
let lastBlamed: unknown;

/** What a store over damaged files may be: the third epoch to the last byte, or nothing. */
async function outcome({ at, epochs }: Prepared): Promise<'third' | 'nothing' | 'wrong'> {
  const store = await at.open();
  lastBlamed = store.problem?.fields.file;
  const held = store.holds();
  if (held === null) return store.problem?.code === 'E_REPLICA_CORRUPT' ? 'nothing' : 'wrong';
  const third = epochs[2]!;
  if (held.epoch !== third.start.epoch || held.ramDigest !== third.ramDigest) return 'wrong';
  if (Buffer.compare(at.memory.bytes, third.ram) !== 0) return 'wrong';
  const takeover = await store.takeForTakeover();
  const isWhole =
    Buffer.compare(takeover.deviceState, third.deviceState) === 0 &&
    Buffer.compare(takeover.baseline, third.baselineInForce) === 0;
  return isWhole ? 'third' : 'wrong';
}

function flip(path: string, offset: number, bit: number): void {
  const bytes = readFileSync(path);
  bytes[offset]! ^= 1 << bit;
  writeFileSync(path, bytes);
}

for (const [name, failAt] of [
  ['whole', null],
  ['sealed and half written', 3],
] as const) {
  test.serial(
    `a flipped bit at any byte of the state never makes it hold something else: ${name}`,
    async (t) => {
      const prepared = await prepare(failAt);
      const outcomes = new Map<string, number>();
      try {
        for (let slot = 0; slot < 2; slot++) {
          for (let i = 0; i < stateBytes; i++) {
            prepared.restore();
            flip(prepared.at.path('state'), slot * 4096 + i, i & 7);
            const found = await outcome(prepared);
            outcomes.set(found, (outcomes.get(found) ?? 0) + 1);
            if (found === 'wrong') t.fail(`slot ${slot}, byte ${i}`);
          }
        }
        // One of the slots is in force: damage to it costs the epoch, unless the journal says the
        // same; damage to the other one costs nothing.
        t.is((outcomes.get('third') ?? 0) + (outcomes.get('nothing') ?? 0), 2 * stateBytes);
        t.true(outcomes.get('third')! >= stateBytes);
        if (failAt !== null) t.is(outcomes.get('nothing'), stateBytes);
      } finally {
        prepared.remove();
      }
    },
  );
}

test.serial(
  'both slots of the state damaged: nothing is held, and the file is named',
  async (t) => {
    const prepared = await prepare(null);
    try {
      flip(prepared.at.path('state'), 20, 0);
      flip(prepared.at.path('state'), 4096 + 20, 0);
      const store = await prepared.at.open();
      t.is(store.holds(), null);
      t.is(store.problem?.fields.file, prepared.at.path('state'));
      t.true(store.problem!.hint.length > 0);
      // It is of use again, and stays so. (The script starts from RAM that is zero.)
      prepared.at.memory.bytes.fill(0);
      await deliver(store, prepared.epochs[0]!);
      t.is((await prepared.at.open()).holds()?.ramDigest, prepared.epochs[0]!.ramDigest);
    } finally {
      prepared.remove();
    }
  },
);

test.serial('a damaged or cut device state or baseline is never resumed', async (t) => {
  const prepared = await prepare(null);
  try {
    const outcomes: string[] = [];
    for (const name of ['device-0', 'device-1', 'baseline-0', 'baseline-1']) {
      const bytes = statSync(prepared.at.path(name)).size;
      for (let at = 0; at < bytes; at += 97) {
        prepared.restore();
        flip(prepared.at.path(name), at, at & 7);
        outcomes.push(await outcome(prepared));
      }
      for (const cut of [0, 1, bytes - 1]) {
        if (cut >= bytes) continue;
        prepared.restore();
        truncateSync(prepared.at.path(name), cut);
        outcomes.push(await outcome(prepared));
      }
      prepared.restore();
      rmSync(prepared.at.path(name));
      outcomes.push(await outcome(prepared));
    }
    t.deepEqual([...new Set(outcomes)].sort(), ['nothing', 'third']);
  } finally {
    prepared.remove();
  }
});

test.serial(
  'a damaged or cut journal is never applied where it counts, and ignored where not',
  async (t) => {
    for (const failAt of [0, 3, null]) {
      const prepared = await prepare(failAt);
      try {
        const outcomes: string[] = [];
        for (const name of ['journal', 'journal-index']) {
          const used = name === 'journal' ? 6 * 4096 : 6 * 12;
          const step = name === 'journal' ? 331 : 1;
          for (let at = 0; at < used; at += step) {
            prepared.restore();
            flip(prepared.at.path(name), at, at & 7);
            outcomes.push(await outcome(prepared));
            if (failAt !== null) t.is(lastBlamed, prepared.at.path(name));
          }
          for (const cut of [0, used - 1]) {
            prepared.restore();
            truncateSync(prepared.at.path(name), cut);
            outcomes.push(await outcome(prepared));
            if (failAt !== null) t.is(lastBlamed, prepared.at.path(name));
          }
        }
        t.deepEqual([...new Set(outcomes)], [failAt === null ? 'third' : 'nothing']);
      } finally {
        prepared.remove();
      }
    }
  },
);

test.serial('RAM that was damaged while no backup ran is not held', async (t) => {
  const prepared = await prepare(null);
  try {
    for (let page = 0; page < pageCount; page++) {
      prepared.restore();
      prepared.at.memory.bytes[page * 4096 + ((page * 131) % 4096)]! ^= 1;
      // A page that was never written is a hole, which nobody can damage.
      const expected = prepared.at.memory.written.has(page) ? 'nothing' : 'wrong';
      t.is(await outcome(prepared), expected, `page ${page}`);
    }
  } finally {
    prepared.remove();
  }
});

test.serial('the state file cut at any length never makes it hold something else', async (t) => {
  const prepared = await prepare(3);
  try {
    const found = new Set<string>();
    for (let bytes = 0; bytes < 4096 + stateBytes; bytes += bytes < stateBytes ? 13 : 401) {
      prepared.restore();
      truncateSync(prepared.at.path('state'), bytes);
      found.add(await outcome(prepared));
    }
    t.false(found.has('wrong'));
    t.true(found.has('nothing'));
  } finally {
    prepared.remove();
  }
});
