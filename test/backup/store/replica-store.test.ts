import test, { type ExecutionContext } from 'ava';
import type { ReplicaStore } from '../../../backup/store/replica-store.ts';
import { PageDigester } from '../../../shared/codec/page-digester.ts';
import { epoch, pageBytes, term } from '../../../shared/ids.ts';
import { ArrayMemory } from './array-memory.ts';
import {
  batchOf,
  collect,
  deliver,
  type ScriptedEpoch,
  type ScriptStep,
  scriptedEpochs,
  sessionNamed,
  settingsOf,
} from './scripted-epochs.ts';
import { StoreCase } from './store-case.ts';

const pageCount = 48;

const twoSessions: readonly ScriptStep[] = [
  { session: 'a', kind: 'sync', pages: 25 },
  { session: 'a', kind: 'delta', pages: 8 },
  { session: 'a', kind: 'delta', pages: 10 },
  { session: 'b', kind: 'sync', pages: 14 },
  { session: 'b', kind: 'delta', pages: 4 },
];

const script = (steps = twoSessions, seed = 5): Promise<ScriptedEpoch[]> =>
  collect(scriptedEpochs(seed, pageCount, steps));

function withCase(
  stagingPages: number,
  body: (t: ExecutionContext, at: StoreCase) => Promise<void>,
) {
  return async (t: ExecutionContext): Promise<void> => {
    const at = StoreCase.array(pageCount, stagingPages);
    try {
      await body(t, at);
    } finally {
      at.remove();
    }
  };
}

function isHolding(t: ExecutionContext, store: ReplicaStore, scripted: ScriptedEpoch): void {
  const { session, epoch: number, term } = scripted.start;
  const { ramDigest } = scripted;
  t.deepEqual(store.holds(), { session, epoch: number, term, ramDigest });
}

const sameRam = (memory: ArrayMemory, scripted: ScriptedEpoch): boolean =>
  Buffer.compare(memory.bytes, scripted.ram) === 0;

test(
  'each committed epoch is what RAM, device state and baseline are, also after a restart',
  withCase(20, async (t, at) => {
    let store = await at.open();
    t.is(store.holds(), null);
    for (const scripted of await script()) {
      await deliver(store, scripted);
      isHolding(t, store, scripted);
      t.true(sameRam(at.memory, scripted));
      t.is(await store.fullRamDigest(), scripted.ramDigest);
      store = await at.open();
      t.is(store.problem, null);
      isHolding(t, store, scripted);
      t.true(sameRam(at.memory, scripted));
    }
    const last = (await script()).at(-1)!;
    const takeover = await store.takeForTakeover();
    t.deepEqual(Buffer.from(takeover.deviceState), Buffer.from(last.deviceState));
    t.deepEqual(Buffer.from(takeover.baseline), Buffer.from(last.baselineInForce));
    t.deepEqual(takeover.settings, { ...last.settings, secret: takeover.settings.secret });
    t.deepEqual([...takeover.settings.secret], [...last.settings.secret]);
  }),
);

test(
  'until an epoch is committed RAM is the epoch before, whatever was staged',
  withCase(20, async (t, at) => {
    const [first, second, third] = await script();
    const store = await at.open();
    await deliver(store, first!);
    store.begin(second!.start);
    for (const batch of second!.batches) store.stage(batch);
    store.setDeviceState(second!.deviceState);
    isHolding(t, store, first!);
    t.true(sameRam(at.memory, first!));
    store.abort();
    t.true(sameRam(at.memory, first!));
    // Dropped for good: the next one is complete without it.
    await deliver(store, second!);
    await deliver(store, third!);
    t.true(sameRam(at.memory, third!));
  }),
);

test(
  'an epoch that would give another RAM digest is refused before anything is applied',
  withCase(20, async (t, at) => {
    const [first, second] = await script();
    const store = await at.open();
    await deliver(store, first!);
    const wrong = { ...second!, ramDigest: second!.ramDigest ^ 1n };
    const error = await t.throwsAsync(deliver(store, wrong), { code: 'E_EPOCH_DIGEST' });
    t.regex(error.message, /epoch 2/);
    isHolding(t, store, first!);
    t.true(sameRam(at.memory, first!));
    await deliver(store, second!);
    isHolding(t, store, second!);
  }),
);

test(
  'a page that comes again in an epoch counts as it came last, and can be read meanwhile',
  withCase(20, async (t, at) => {
    const settings = settingsOf('a', pageCount);
    const digester = await PageDigester.create(settings);
    const [first] = await script();
    const store = await at.open();
    await deliver(store, first!);
    store.begin({ ...first!.start, epoch: epoch(2), kind: 'delta' });
    const images = (fill: number, pages: number) =>
      new Uint8Array(pages * pageBytes).map((_, i) => fill + Math.floor(i / pageBytes));
    store.stage(batchOf(digester, [7, 3, 4], images(50, 3)));
    store.stage(batchOf(digester, [4, 9, 7], images(60, 3)));
    t.deepEqual(
      [3, 4, 7, 9].map((page) => store.staged(page)![17]),
      [51, 60, 62, 61],
    );
    t.is(store.staged(5), undefined);
    const expected = first!.ram.slice();
    for (const [page, fill] of [
      [3, 51],
      [4, 60],
      [7, 62],
      [9, 61],
    ] as const) {
      expected.fill(fill, page * pageBytes, (page + 1) * pageBytes);
    }
    const after = new ArrayMemory(pageCount);
    after.writePages(
      Uint32Array.from({ length: pageCount }, (_, i) => i),
      pageCount,
      expected,
      0,
    );
    const table = new Uint8Array(pageCount * 8);
    digester.digestRange(after, 0, pageCount, table);
    store.setDeviceState(Uint8Array.of(1));
    t.deepEqual(await store.commit({ ramDigest: digester.foldRoot(table) }), { pages: 4 });
    t.deepEqual(Buffer.from(at.memory.bytes), Buffer.from(expected));
    t.is(store.staged(4), undefined);
  }),
);

test(
  'a delta that is larger than the staging bound is refused and nothing is lost',
  withCase(9, async (t, at) => {
    const [first, second, third] = await script();
    const store = await at.open();
    await deliver(store, first!);
    await deliver(store, second!);
    await t.throwsAsync(deliver(store, third!), { code: 'E_STAGING_FULL' });
    isHolding(t, store, second!);
    t.true(sameRam(at.memory, second!));
  }),
);

test(
  'a synchronisation that fits leaves the older epoch held until it is whole',
  withCase(20, async (t, at) => {
    const epochs = await script();
    let store = await at.open();
    for (const scripted of epochs.slice(0, 3)) await deliver(store, scripted);
    const sync = epochs[3]!;
    await store.prepareSession(sync.settings);
    store.begin(sync.start);
    for (const batch of sync.batches) store.stage(batch);
    isHolding(t, store, epochs[2]!);
    t.is(await store.fullRamDigest(), epochs[2]!.ramDigest, "by the older session's secret");
    store = await at.open();
    isHolding(t, store, epochs[2]!);
    t.true(sameRam(at.memory, epochs[2]!));
    await deliver(store, sync);
    isHolding(t, store, sync);
  }),
);

test(
  'a synchronisation that does not fit goes in place, and holds nothing until it is whole',
  withCase(12, async (t, at) => {
    const epochs = await script();
    let store = await at.open();
    for (const scripted of epochs.slice(0, 3)) await deliver(store, scripted);
    const sync = epochs[3]!;
    await store.prepareSession(sync.settings);
    store.begin(sync.start);
    isHolding(t, store, epochs[2]!);
    for (const batch of sync.batches) {
      store.stage(batch);
      for (const page of batch.pages) t.not(store.staged(page), undefined);
    }
    t.is(store.holds(), null);
    store = await at.open();
    t.is(store.problem, null);
    t.is(store.holds(), null);
    await t.throwsAsync(store.takeForTakeover(), { code: 'E_REPLICA_EMPTY' });
    await deliver(store, sync);
    isHolding(t, store, sync);
    t.true(sameRam(at.memory, sync));
  }),
);

test(
  'in place, what was written is read as staged and the newest image counts',
  withCase(20, async (t, at) => {
    const digester = await PageDigester.create(settingsOf('a', pageCount));
    const store = await at.open();
    await store.prepareSession(settingsOf('a', pageCount));
    const [first] = await script();
    store.begin(first!.start);
    t.is(store.staged(3), undefined);
    store.stage(batchOf(digester, [3], new Uint8Array(pageBytes).fill(8)));
    t.is(store.staged(3)![0], 8);
    store.stage(batchOf(digester, [3], new Uint8Array(pageBytes).fill(9)));
    t.is(store.staged(3)![0], 9);
    t.is(store.staged(4), undefined);
  }),
);

test(
  'a delta must go on from the epoch and the session that are held',
  withCase(20, async (t, at) => {
    const epochs = await script();
    const store = await at.open();
    await store.prepareSession(epochs[0]!.settings);
    t.throws(() => store.begin(epochs[1]!.start), { code: 'E_EPOCH_BASE' });
    await deliver(store, epochs[0]!);
    const { start } = epochs[1]!;
    t.throws(() => store.begin({ ...start, epoch: epoch(1) }), { code: 'E_EPOCH_BASE' });
    t.throws(() => store.begin(epochs[4]!.start), { code: 'E_EPOCH_BASE' });
    await deliver(store, epochs[1]!);
    isHolding(t, store, epochs[1]!);
  }),
);

test(
  'an epoch without device state, and a first one without a baseline, are refused',
  withCase(20, async (t, at) => {
    const [first, second] = await script();
    const store = await at.open();
    const bare = { ...first!, baseline: null };
    await t.throwsAsync(deliver(store, bare), { code: 'E_EPOCH_INCOMPLETE' });
    t.is(store.holds(), null);
    await deliver(store, first!);
    store.begin(second!.start);
    for (const batch of second!.batches) store.stage(batch);
    await t.throwsAsync(store.commit({ ramDigest: second!.ramDigest }), {
      code: 'E_EPOCH_INCOMPLETE',
    });
    isHolding(t, store, first!);
  }),
);

test(
  'a new session must not be resumed with the baseline of an older one',
  withCase(20, async (t, at) => {
    const epochs = await script();
    const store = await at.open();
    for (const scripted of epochs.slice(0, 3)) await deliver(store, scripted);
    const bare = { ...epochs[3]!, baseline: null };
    await t.throwsAsync(deliver(store, bare), { code: 'E_EPOCH_INCOMPLETE' });
    isHolding(t, store, epochs[2]!);
  }),
);

test(
  'after a takeover nothing is written or held, and a guest that never ran can be taken back',
  withCase(20, async (t, at) => {
    const epochs = await script();
    let store = await at.open();
    await deliver(store, epochs[0]!);
    store.begin(epochs[1]!.start);
    await store.takeForTakeover();
    t.is(store.holds(), null);
    t.is(store.takenOver()?.epoch, epoch(1));
    t.throws(() => store.begin(epochs[1]!.start), { code: 'E_REPLICA_TAKEN' });
    await t.throwsAsync(store.prepareSession(epochs[1]!.settings), { code: 'E_REPLICA_TAKEN' });
    await t.throwsAsync(store.takeForTakeover(), { code: 'E_REPLICA_TAKEN' });
    t.throws(() => store.discard(), { code: 'E_REPLICA_TAKEN' });
    t.is(await store.fullRamDigest(), epochs[0]!.ramDigest);
    store = await at.open();
    t.is(store.holds(), null);
    t.is(store.takenOver()?.epoch, epoch(1));
    t.is((await store.reclaim('earlier'))?.epoch, epoch(1));
    isHolding(t, store, epochs[0]!);
    await deliver(store, epochs[1]!);
    t.true(sameRam(at.memory, epochs[1]!));

    await store.takeForTakeover();
    at.memory.bytes[5 * pageBytes + 1]! ^= 1;
    store = await at.open();
    t.is(await store.reclaim('earlier'), null);
    t.is(store.holds(), null);
    t.is(store.takenOver(), null);
  }),
);

test(
  'an epoch whose guest may have run is never resumed by a later process, whatever RAM is',
  withCase(20, async (t, at) => {
    const epochs = await script();
    let store = await at.open();
    await deliver(store, epochs[0]!);
    await store.takeForTakeover();
    store.letRun();
    t.is((await store.reclaim('this'))?.epoch, epoch(1), 'whoever saw its standby fail knows more');
    await store.takeForTakeover();
    store.letRun();
    store = await at.open();
    t.is(store.takenOver()?.epoch, epoch(1));
    t.is(await store.reclaim('earlier'), null);
    store = await at.open();
    t.is(store.holds(), null);
    t.is(store.takenOver(), null);
  }),
);

test(
  'a page of RAM that changed behind the store is named, and nothing is held any more',
  withCase(20, async (t, at) => {
    const epochs = await script();
    const store = await at.open();
    await deliver(store, epochs[0]!);
    t.deepEqual(await store.verify(), {
      pages: pageCount,
      complete: true,
      firstDifferingPage: null,
      differingPages: 0,
    });
    const pages = [...epochs[0]!.batches[0]!.pages].sort((a, b) => a - b);
    for (const page of pages.slice(0, 2)) at.memory.bytes[page * pageBytes + 4000]! ^= 4;
    const verdict = await store.verify();
    t.is(verdict.firstDifferingPage, pages[0]!);
    t.is(verdict.differingPages, 2);
    t.is(store.holds(), null);
    // The table now says what RAM says, so comparing with the primary finds the page.
    const digester = await PageDigester.create(epochs[0]!.settings);
    const table = new BigUint64Array(pageCount);
    digester.digestRange(at.memory, 0, pageCount, new Uint8Array(table.buffer));
    t.deepEqual(store.pageDigests(), table);
    t.is((await at.open()).holds(), null);
  }),
);

test(
  'a delta on RAM that proves damaged meanwhile is refused',
  withCase(20, async (t, at) => {
    const epochs = await script();
    const store = await at.open();
    await deliver(store, epochs[0]!);
    store.begin(epochs[1]!.start);
    for (const batch of epochs[1]!.batches) store.stage(batch);
    store.setDeviceState(epochs[1]!.deviceState);
    at.memory.bytes[epochs[0]!.batches[0]!.pages[0]! * pageBytes]! ^= 1;
    t.is((await store.verify()).differingPages, 1);
    await t.throwsAsync(store.commit({ ramDigest: epochs[1]!.ramDigest }), {
      code: 'E_EPOCH_BASE',
    });
    t.is(store.holds(), null);
  }),
);

test(
  'RAM that is known is not read: a session goes on from it, and from nothing else',
  withCase(20, async (t, at) => {
    const [first, second] = await script([
      { session: 'a', kind: 'sync', pages: 25 },
      { session: 'b', kind: 'sync', pages: 14 },
    ]);
    let store = await at.open();
    await deliver(store, first!);
    const { known } = await store.takeForTakeover();
    t.is(known.ramDigest, first!.ramDigest);
    const kept = { ...known, pageDigests: known.pageDigests.slice() };

    store = await at.open({ known: kept });
    t.is(store.holds(), null);
    t.is(store.takenOver(), null, 'what the folder said is older');
    t.true(store.isKnownAs(known.settings, known.ramDigest));
    t.false(store.isKnownAs(known.settings, known.ramDigest ^ 1n));
    t.false(store.isKnownAs(second!.settings, known.ramDigest), 'another secret');
    const { readRange } = at.memory;
    at.memory.readRange = () => t.fail('RAM was read');
    t.is(await store.prepareSession(known.settings), known.ramDigest);
    at.memory.readRange = readRange;

    await deliver(store, second!);
    t.false(store.isKnownAs(known.settings, known.ramDigest), 'RAM has moved on');
    store = await at.open();
    isHolding(t, store, second!);
  }),
);

test('RAM is checked beside epochs that are applied, without false alarms', async (t) => {
  const steps: ScriptStep[] = [{ session: 'a', kind: 'sync', pages: 4000 }];
  for (let i = 0; i < 12; i++) steps.push({ session: 'a', kind: 'delta', pages: 2500 });
  const at = StoreCase.array(8192, 4096);
  try {
    const store = await at.open();
    let checks = 0;
    let isDone = false;
    let checking: Promise<void> | undefined;
    const check = async (): Promise<void> => {
      while (!isDone) {
        const verdict = await store.verify();
        t.is(verdict.differingPages, 0);
        t.true(verdict.complete);
        checks += 1;
      }
    };
    for await (const scripted of scriptedEpochs(8, 8192, steps)) {
      await deliver(store, scripted);
      checking ??= check();
    }
    isDone = true;
    await checking;
    t.true(checks > 1, `${checks} checks`);
  } finally {
    at.remove();
  }
});

test('a check that began before a hole was filled does not take it for a hole still', async (t) => {
  const pages = 8192;
  const settings = settingsOf('a', pages);
  const digester = await PageDigester.create(settings);
  const after = new ArrayMemory(pages);
  const table = new Uint8Array(pages * 8);
  const image = new Uint8Array(pageBytes).fill(3);
  const at = StoreCase.array(pages, 100);
  try {
    const store = await at.open();
    await store.prepareSession(settings);
    const deliverPage = async (number: number, page: number): Promise<void> => {
      const kind = number === 1 ? 'sync' : 'delta';
      store.begin({ session: sessionNamed('a'), epoch: epoch(number), term: term(1), kind });
      store.stage(batchOf(digester, [page], image));
      store.setDeviceState(image);
      store.setBaseline(image);
      after.writePages(Uint32Array.of(page), 1, image, 0);
      digester.digestRange(after, 0, pages, table);
      await store.commit({ ramDigest: digester.foldRoot(table) });
    };
    await deliverPage(1, 2);
    const checking = store.verify();
    await deliverPage(2, 7000);
    const verdict = await checking;
    t.true(verdict.complete);
    t.is(verdict.differingPages, 0);
    t.is(store.holds()?.epoch, epoch(2));
  } finally {
    at.remove();
  }
});

test(
  'a folder of another guest or another memory size is refused and left alone',
  withCase(20, async (t, at) => {
    const [first] = await script();
    await deliver(await at.open(), first!);
    const error = await t.throwsAsync(at.open({ guest: 'other' }), { code: 'E_REPLICA_MISMATCH' });
    t.regex(error.message, /guest case; expected other/);
    const larger = new StoreCase(new ArrayMemory(pageCount * 2), 20, at.folder);
    await t.throwsAsync(larger.open(), { code: 'E_REPLICA_MISMATCH' });
    isHolding(t, await at.open(), first!);
    const settings = settingsOf('a', pageCount + 1);
    await t.throwsAsync((await at.open()).prepareSession(settings), {
      code: 'E_REPLICA_MISMATCH',
    });
  }),
);

test(
  'a sealed epoch whose writing failed is held and is written at the next occasion',
  withCase(20, async (t, at) => {
    const epochs = await script();
    for (const occasion of ['prepareSession', 'takeForTakeover', 'open'] as const) {
      at.close();
      const fresh = StoreCase.array(pageCount, 20);
      try {
        let store = await fresh.open();
        await deliver(store, epochs[0]!);
        const distinct = new Set(epochs[1]!.batches.flatMap(({ pages }) => [...pages]));
        const known = new Set(epochs[0]!.batches.flatMap(({ pages }) => [...pages]));
        const reserved = [...distinct].filter((page) => !known.has(page)).length;
        let writes = 0;
        fresh.memory.beforeWrite = () => {
          if (++writes === reserved + 4) throw new Error('disk on fire');
        };
        await t.throwsAsync(deliver(store, epochs[1]!), { message: 'disk on fire' });
        isHolding(t, store, epochs[1]!);
        t.false(sameRam(fresh.memory, epochs[1]!));
        if (occasion === 'prepareSession') await store.prepareSession(epochs[1]!.settings);
        if (occasion === 'takeForTakeover') await store.takeForTakeover();
        if (occasion === 'open') store = await fresh.open();
        t.true(sameRam(fresh.memory, epochs[1]!), occasion);
        t.is(await store.fullRamDigest(), epochs[1]!.ramDigest);
        if (occasion !== 'takeForTakeover') {
          await deliver(store, epochs[2]!);
          t.true(sameRam(fresh.memory, epochs[2]!));
        }
      } finally {
        fresh.remove();
      }
    }
  }),
);

test(
  'two calls at once are a mistake that is told',
  withCase(20, async (t, at) => {
    const [first, second] = await script();
    const store = await at.open();
    await deliver(store, first!);
    const pending = store.prepareSession(settingsOf('z', pageCount));
    t.throws(() => store.begin(second!.start), { message: /prepareSession goes on/ });
    await t.throwsAsync(store.fullRamDigest(), { message: /prepareSession goes on/ });
    await pending;
    t.throws(() => store.begin(second!.start), { message: /not the one that is held/ });
    t.throws(() => store.setDeviceState(Uint8Array.of(1)), { message: /no epoch/ });
  }),
);
