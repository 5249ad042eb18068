import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { bounds } from '../../shared/bounds.ts';
import { UnderstudyError } from '../../shared/errors.ts';
import { SyntheticGuest } from '../../shared/guest/synthetic-guest.ts';
import type { SyntheticMemory } from '../../shared/guest/synthetic-memory.ts';
import type { ControlOut } from '../../shared/transport/control-channel.ts';
import { MemoryBus } from '../../shared/transport/memory-bus.ts';
import { subjectsOf } from '../../shared/transport/subjects.ts';
import { decodeFrame } from '../../shared/wire/frame.ts';
import { decodeMessage, encodeMessage } from '../../shared/wire/message.ts';
import {
  guestName,
  memoryBytes,
  type RunningPrimary,
  startBackup,
  startPrimary,
  tmpfsFolder,
} from './synthetic-pair.ts';

function sameMemory(a: SyntheticMemory, b: SyntheticMemory): boolean {
  const [left, right] = [Buffer.alloc(2 ** 20), Buffer.alloc(2 ** 20)];
  for (let page = 0; page < memoryBytes / 4096; page += 256) {
    a.readRange(page, 256, left, 0);
    b.readRange(page, 256, right, 0);
    if (!left.equals(right)) return false;
  }
  return true;
}

/** Nothing is written any more, and the backup has acknowledged the guest's RAM as it stands. */
async function settled(primary: RunningPrimary): Promise<void> {
  primary.guest.advance = () => 0;
  const from = primary.events.events.length;
  const { epoch } = await primary.events.find('epoch', () => true, from);
  await primary.events.find('ack', (ack) => ack.epoch > epoch, from);
}

test('a guest whose primary vanished goes on from the last whole epoch, and writes go on', async (t) => {
  const bus = new MemoryBus({ seed: 1, time: 'real' });
  const backup = await startBackup(t, bus, tmpfsFolder(t));
  const primary = startPrimary(t, bus);
  await primary.events.find('state', ({ to }) => to === 'protected');
  await primary.events.find('ack', ({ epoch }) => epoch >= 10);
  primary.vanish();
  backup.watch.fallSilent();
  const done = await backup.events.find('takeover');
  t.is(done.ramDigestFound, done.ramDigestExpected);
  const epochs = primary.events.events.filter((event) => event.kind === 'epoch');
  t.is(epochs.find(({ epoch }) => epoch === done.epoch)?.ramDigest, done.ramDigestFound!);
  const { guest } = await backup.stop();
  const resumed = guest as SyntheticGuest;
  const before = resumed.counter;
  t.true(before > 0);
  resumed.advance(50);
  t.true(resumed.counter > before);
});

test('a takeover whose standby fails to load is made with another one, from the same epoch', async (t) => {
  const bus = new MemoryBus({ seed: 41, time: 'real' });
  const backup = await startBackup(t, bus, tmpfsFolder(t), undefined, { loadFailures: 2 });
  const primary = startPrimary(t, bus);
  await primary.events.find('ack', ({ epoch }) => epoch >= 3);
  primary.vanish();
  backup.watch.fallSilent();
  const done = await backup.events.find('takeover');
  t.is(done.ramDigestFound, done.ramDigestExpected);
  const codes = backup.events.events.filter((event) => event.kind === 'error');
  t.deepEqual(
    codes.map(({ code }) => code),
    ['E_STANDBY_LOAD', 'E_STANDBY_LOAD'],
  );
  const { guest, outcome } = await backup.stop();
  t.is(outcome.kind, 'took-over');
  const resumed = guest as SyntheticGuest;
  const before = resumed.counter;
  resumed.advance(50);
  t.true(resumed.counter > before);
});

test('a takeover that its agent did not live to see is made by the next one, in its term', async (t) => {
  const bus = new MemoryBus({ seed: 37, time: 'real' });
  const folder = tmpfsFolder(t);
  const loadFailures = bounds.takeoverAttemptsMax;
  const first = await startBackup(t, bus, folder, undefined, { loadFailures });
  const primary = startPrimary(t, bus);
  await primary.events.find('ack', ({ epoch }) => epoch >= 3);
  primary.vanish();
  first.watch.fallSilent();
  t.is((await first.result).outcome.kind, 'takeover-failed');
  const { term } = await first.events.find('term');

  const next = await startBackup(t, bus, folder, first.memory);
  const done = await next.events.find('takeover');
  t.is(done.term, term, 'no other one could say more');
  t.is(done.ramDigestFound, done.ramDigestExpected);
  t.is((await next.result).outcome.kind, 'took-over');

  const last = await startBackup(t, bus, folder, first.memory);
  const lost = await last.events.find('warning', ({ code }) => code === 'E_TAKEOVER_LOST');
  t.regex(lost.message, new RegExp(`term ${term} .* may have run`), 'once, and never again');
  t.is(last.store.holds(), null);
  t.is((await last.stop()).outcome.kind, 'released');
});

test('a backup whose agent was restarted takes over a primary that is not heard any more', async (t) => {
  const bus = new MemoryBus({ seed: 41, time: 'real' });
  const folder = tmpfsFolder(t);
  const first = await startBackup(t, bus, folder);
  const primary = startPrimary(t, bus);
  await primary.events.find('state', ({ to }) => to === 'protected');
  await primary.events.find('ack', ({ epoch }) => epoch >= 5);
  await first.vanish();
  primary.vanish();
  const acked = primary.events.events.filter((event) => event.kind === 'ack').at(-1)!.epoch;

  const next = await startBackup(t, bus, folder, first.memory);
  await next.events.find('state', ({ to }) => to === 'expecting');
  next.watch.fallSilent();
  const done = await next.events.find('takeover');
  t.true(done.epoch >= acked, 'whatever was acknowledged, so whatever was said');
  const epochs = primary.events.events.filter((event) => event.kind === 'epoch');
  t.is(epochs.find(({ epoch }) => epoch === done.epoch)?.ramDigest, done.ramDigestFound!);
});

test('a backup whose agent was restarted yields to a primary that went on alone', async (t) => {
  const bus = new MemoryBus({ seed: 43, time: 'real' });
  const folder = tmpfsFolder(t);
  const first = await startBackup(t, bus, folder);
  const primary = startPrimary(t, bus);
  await primary.events.find('state', ({ to }) => to === 'protected');
  await first.vanish();
  const from = primary.events.events.length;
  const next = await startBackup(t, bus, folder, first.memory);
  primary.watch.fallSilent();
  await primary.events.find('state', ({ to }) => to === 'protected', from);
  t.false(next.events.events.some(({ kind }) => kind === 'takeover'));
});

test('a guest that dies in its checkpoint is taken over: no solo term shuts the backup out', async (t) => {
  const bus = new MemoryBus({ seed: 31, time: 'real' });
  const backup = await startBackup(t, bus, tmpfsFolder(t));
  const primary = startPrimary(t, bus);
  await primary.events.find('ack', ({ epoch }) => epoch >= 3);
  const ended = new UnderstudyError('E_QEMU_EXITED', 'QEMU ended', { hint: '' });
  const failed = new Promise<void>((resolve) => {
    // A checkpoint may be under way: whichever it calls next.
    const fail = async () => {
      resolve();
      throw ended;
    };
    Object.assign(primary.guest, { pause: fail, resume: fail });
  });
  await failed;
  await sleep(100);
  primary.guest.vanish('QEMU ended');
  t.deepEqual(await primary.outcome, { kind: 'guest-lost', reason: 'QEMU ended' });
  backup.watch.fallSilent();
  const done = await backup.events.find('takeover');
  t.is(done.ramDigestFound, done.ramDigestExpected);
});

test('RAM of both sides is the same, byte for byte, at an epoch', async (t) => {
  const bus = new MemoryBus({ seed: 2, time: 'real' });
  const backup = await startBackup(t, bus, tmpfsFolder(t));
  const primary = startPrimary(t, bus);
  await primary.events.find('ack', ({ epoch }) => epoch >= 5);
  await settled(primary);
  t.true(sameMemory(primary.guest.memory, backup.memory));
});

test('neither live rounds nor threads change anything: RAM is the same, nothing went astray', async (t) => {
  const bus = new MemoryBus({ seed: 12, time: 'real' });
  const backup = await startBackup(t, bus, tmpfsFolder(t));
  const primary = startPrimary(t, bus, { verifyEveryEpochs: 2, liveRounds: 3, threads: 2 });
  await primary.events.find('verify', ({ side }) => side === 'primary');
  await primary.events.find('verify', ({ side }) => side === 'backup');
  await primary.events.find('ack', ({ epoch }) => epoch >= 20);
  const epochs = primary.events.events.filter((event) => event.kind === 'epoch');
  const live = epochs.filter(({ liveRounds }) => liveRounds === 3);
  t.true(live.length >= 15, `${live.length} of ${epochs.length}`);
  t.true(live.some(({ livePages, pausedPages }) => livePages > pausedPages));
  t.deepEqual(
    primary.events.events.filter((event) => event.kind === 'verify' && !event.ok),
    [],
  );
  await settled(primary);
  t.true(sameMemory(primary.guest.memory, backup.memory));
  primary.vanish();
  backup.watch.fallSilent();
  const done = await backup.events.find('takeover');
  t.is(done.ramDigestFound, done.ramDigestExpected);
});

test('an encoder that dies costs its session: the guest runs on and is protected again', async (t) => {
  const bus = new MemoryBus({ seed: 14, time: 'real' });
  const backup = await startBackup(t, bus, tmpfsFolder(t));
  const primary = startPrimary(t, bus, { threads: 2 });
  await primary.events.find('ack', ({ epoch }) => epoch >= 3);
  const from = primary.events.events.length;
  const worked = primary.guest.counter;
  // No such pages: its threads throw.
  primary.encoders[0]!.adoptZeros(0, memoryBytes);
  await primary.events.find('warning', ({ code }) => code === 'E_ENCODER_WORKER', from);
  await primary.events.find('state', ({ to }) => to === 'protected', from);
  t.true(primary.guest.counter > worked);
  await settled(primary);
  t.true(sameMemory(primary.guest.memory, backup.memory));
  t.is(primary.encoders.length, 2);
});

test('an idle guest is hardly ever stopped, and one that wakes up is soon protected', async (t) => {
  const bus = new MemoryBus({ seed: 13, time: 'real' });
  const backup = await startBackup(t, bus, tmpfsFolder(t));
  const primary = startPrimary(t, bus, { pace: { longestMs: 400 } });
  await primary.events.find('ack', ({ epoch }) => epoch >= 5);
  const advance = primary.guest.advance.bind(primary.guest);
  await settled(primary);
  const epochs = () => primary.events.events.filter(({ kind }) => kind === 'epoch').length;
  const before = epochs();
  const startedMs = performance.now();
  await sleep(1000);
  // A busy machine sleeps longer.
  const seen = epochs() - before;
  const idleMs = performance.now() - startedMs;
  t.true(seen <= idleMs / 400 + 2, `${seen} epochs in ${idleMs} ms, where an interval is 20 ms`);
  const from = primary.events.events.length;
  primary.guest.advance = advance;
  await primary.events.find('epoch', ({ dirtyPages }) => dirtyPages > 128, from);
  await settled(primary);
  t.true(sameMemory(primary.guest.memory, backup.memory));
});

test('a backup that was restarted is brought level by digests, not by everything', async (t) => {
  const bus = new MemoryBus({ seed: 3, time: 'real' });
  const folder = tmpfsFolder(t);
  const first = await startBackup(t, bus, folder);
  const primary = startPrimary(t, bus);
  const full = await primary.events.find('sync', ({ phase }) => phase === 'done');
  await primary.events.find('ack', ({ epoch }) => epoch >= 5);
  // What it writes while there is no backup would have to be sent, whoever held what.
  await settled(primary);
  await first.stop();
  const from = primary.events.events.length;
  primary.watch.fallSilent();
  const second = await startBackup(t, bus, folder, first.memory);
  t.truthy(second.store.holds(), 'it says what it holds');
  const again = await primary.events.find('sync', ({ phase }) => phase === 'done', from);
  t.true(full.pages > 1000);
  t.true(again.pages < 100, `${again.pages} pages again, ${full.pages} at first`);
  await primary.events.find('state', ({ to }) => to === 'protected', from);
});

for (const [seed, lossRate] of [
  [4, 0.02],
  [14, 0.05],
  [24, 0.1],
] as const) {
  test(`${lossRate * 100} % of messages lost, doubled and late cost time, never an epoch`, async (t) => {
    const bus = new MemoryBus({
      ...{ seed, time: 'real', lossRate, duplicateRate: 0.05 },
      ...{ delayMsMin: 0, delayMsMax: 3 },
    });
    const backup = await startBackup(t, bus, tmpfsFolder(t));
    const primary = startPrimary(t, bus);
    await primary.events.find('ack', ({ epoch }) => epoch >= 10);
    primary.vanish();
    backup.watch.fallSilent();
    const done = await backup.events.find('takeover');
    t.is(done.ramDigestFound, done.ramDigestExpected);
  });
}

test('a primary that is stopped stands down: its guest runs on and is not taken over', async (t) => {
  const bus = new MemoryBus({ seed: 5, time: 'real' });
  const backup = await startBackup(t, bus, tmpfsFolder(t));
  const primary = startPrimary(t, bus);
  await primary.events.find('ack', ({ epoch }) => epoch >= 3);
  t.deepEqual(await primary.stop(), { kind: 'released' });
  t.true(primary.guest.isRunning);
  await backup.events.find('state', ({ to }) => to === 'waiting');
  backup.watch.fallSilent();
  const { guest } = await backup.stop();
  t.is(guest, undefined);
});

test('a guest that powers off is not resurrected', async (t) => {
  const bus = new MemoryBus({ seed: 6, time: 'real' });
  const backup = await startBackup(t, bus, tmpfsFolder(t));
  const primary = startPrimary(t, bus);
  await primary.events.find('ack', ({ epoch }) => epoch >= 3);
  primary.guest.shutDown(true);
  const outcome = await primary.outcome;
  t.is(outcome.kind, 'guest-ended');
  await backup.events.find('state', ({ to }) => to === 'waiting');
});

test('a second primary for a guest is refused by name while the first one lives', async (t) => {
  const bus = new MemoryBus({ seed: 7, time: 'real' });
  await startBackup(t, bus, tmpfsFolder(t));
  const first = startPrimary(t, bus);
  await first.events.find('ack', ({ epoch }) => epoch >= 3);
  const guest = new SyntheticGuest({ name: guestName, memoryBytes, seed: 8 });
  const second = startPrimary(t, bus, { guest, agentId: '00000000000000a2' });
  const outcome = await second.outcome;
  t.is(outcome.kind, 'refused');
  t.is(outcome.kind === 'refused' && outcome.code, 'E_PRIMARY_EXISTS');
  const { epoch } = first.events.events.filter((event) => event.kind === 'ack').at(-1)!;
  await first.events.find('ack', (ack) => ack.epoch > epoch + 2);
});

test('a HELLO that comes late, in an older term, costs a session and not the protection', async (t) => {
  const bus = new MemoryBus({ seed: 32, time: 'real' });
  await startBackup(t, bus, tmpfsFolder(t));
  const stranger = bus.connect();
  const subject = subjectsOf(guestName).controlToBackup;
  const hellos: Uint8Array[] = [];
  stranger.subscribe(subject, (payload) => {
    if (decodeFrame(payload).kind === 'hello') hellos.push(payload.slice());
  });
  const primary = startPrimary(t, bus);
  await primary.events.find('state', ({ to }) => to === 'protected');
  const from = primary.events.events.length;
  const frame = decodeFrame(hellos[0]!);
  const late = { guest: frame.guest, term: frame.term, session: frame.session ^ 1n };
  stranger.publish(subject, encodeMessage(late, decodeMessage(frame) as ControlOut));
  await primary.events.find('state', (event) => event.from === 'protected', from);
  await primary.events.find('state', ({ to }) => to === 'protected', from);
  t.pass();
});

test('an old primary that comes back after a takeover stops its copy', async (t) => {
  const bus = new MemoryBus({ seed: 8, time: 'real' });
  const backup = await startBackup(t, bus, tmpfsFolder(t));
  const primary = startPrimary(t, bus);
  await primary.events.find('ack', ({ epoch }) => epoch >= 3);
  primary.vanish();
  backup.watch.fallSilent();
  await backup.events.find('takeover');
  const back = startPrimary(t, bus, { guest: primary.guest, agentId: '00000000000000a3' });
  const outcome = await back.outcome;
  t.is(outcome.kind, 'superseded');
  t.false(primary.guest.isRunning);
});

test('a backup with another memory size is refused with the key that differs', async (t) => {
  const bus = new MemoryBus({ seed: 9, time: 'real' });
  await startBackup(t, bus, tmpfsFolder(t));
  const guest = new SyntheticGuest({
    name: guestName,
    memoryBytes: 2 * memoryBytes,
    seed: 1,
  });
  const primary = startPrimary(t, bus, { guest });
  const warning = await primary.events.find('warning', ({ code }) => code === 'E_PEER_MISMATCH');
  t.regex(warning.message, /guest\.memory differs: 33554432 .* 16777216/);
  t.true(guest.isRunning);
});

test('a write that the tracker missed is found, named and mended', async (t) => {
  const bus = new MemoryBus({ seed: 10, time: 'real' });
  const backup = await startBackup(t, bus, tmpfsFolder(t));
  const primary = startPrimary(t, bus, { verifyEveryEpochs: 2 });
  await primary.events.find('verify', ({ ok }) => ok);
  const from = primary.events.events.length;
  // As the backup writes: into RAM, unseen by the tracker.
  const page = Buffer.alloc(4096, 0x5a);
  primary.guest.memory.writePages(Uint32Array.of(3000), 1, page, 0);
  const failed = await primary.events.find('verify', ({ ok }) => !ok, from);
  t.is(failed.firstDifferingPage, 3000);
  await primary.events.find('state', ({ to }) => to === 'protected', from);
  await settled(primary);
  t.true(sameMemory(primary.guest.memory, backup.memory));
});

test('a replica that was damaged is found, named and mended', async (t) => {
  const bus = new MemoryBus({ seed: 11, time: 'real' });
  const backup = await startBackup(t, bus, tmpfsFolder(t));
  const primary = startPrimary(t, bus, { verifyEveryEpochs: 2 });
  const compared = await primary.events.find('verify', ({ side }) => side === 'backup');
  t.true(compared.ok);
  t.is(compared.pages, memoryBytes / 4096);
  const from = backup.events.events.length;
  const since = primary.events.events.length;
  // No write of an epoch: RAM of the backup's host has flipped.
  backup.memory.writePages(Uint32Array.of(4095), 1, Buffer.alloc(4096, 0xa5), 0);
  const failed = await backup.events.find('verify', ({ ok }) => !ok, from);
  t.is(failed.firstDifferingPage, 4095);
  await primary.events.find('state', ({ to }) => to === 'protected', since);
  await settled(primary);
  t.true(sameMemory(primary.guest.memory, backup.memory));
});

/** What a release that knows protocol 1 alone would say in place of `payload`. */
function asBefore(payload: Uint8Array): Uint8Array {
  const frame = decodeFrame(payload);
  const message = decodeMessage(frame);
  if (message.kind !== 'hello') return payload;
  return encodeMessage(frame, { ...message, protocolMax: message.protocol });
}

for (const protocol of [1, 2]) {
  test(`a pair that speaks protocol ${protocol} is protected, and its acknowledgements count`, async (t) => {
    const bus = new MemoryBus({ seed: 9, time: 'real' });
    const terms = new Set<number>();
    bus.connect().subscribe(subjectsOf(guestName).controlToPrimary, (payload) => {
      const { kind, epoch, term } = decodeFrame(payload);
      if (kind === 'ack' && epoch > 1) terms.add(term);
    });
    await startBackup(t, bus, tmpfsFolder(t));
    if (protocol === 1) {
      const connect = bus.connect.bind(bus);
      bus.connect = () => {
        const transport = connect();
        const request = transport.request.bind(transport);
        transport.request = (subject, payload, ms) => request(subject, asBefore(payload), ms);
        return transport;
      };
    }
    const primary = startPrimary(t, bus);
    const { term } = await primary.events.find('term', ({ mode }) => mode === 'protected');
    await primary.events.find('ack', ({ epoch }) => epoch >= 10);
    t.deepEqual([...terms], [protocol === 1 ? term - 1 : term]);
  });
}
