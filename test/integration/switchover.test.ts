import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import type { SyntheticGuest } from '../../shared/guest/synthetic-guest.ts';
import { MemoryBus } from '../../shared/transport/memory-bus.ts';
import { hosts, startBackup, startPrimary, tmpfsFolder } from './synthetic-pair.ts';

test('a switchover resumes the very epoch at which the guest was paused, by a new term', async (t) => {
  const bus = new MemoryBus({ seed: 31, time: 'real' });
  const backup = await startBackup(t, bus, tmpfsFolder(t));
  const primary = startPrimary(t, bus);
  await primary.events.find('ack', ({ epoch }) => epoch >= 5);
  await primary.agent.switchOver();
  const done = await backup.events.find('takeover');
  t.true(done.planned);
  const epochs = primary.events.events.filter((event) => event.kind === 'epoch');
  t.is(epochs.at(-1)!.epoch, done.epoch, 'nothing is replayed');
  const outcome = await primary.outcome;
  t.true(outcome.kind === 'superseded' && outcome.planned);
  t.false(primary.guest.isRunning);
  const { guest } = await backup.result;
  t.is(
    (guest as SyntheticGuest).counter,
    primary.guest.counter,
    'the guest lost and gained nothing',
  );
  t.deepEqual(
    backup.events.events.filter((event) => event.kind === 'term').map(({ mode }) => mode),
    ['solo'],
  );
});

test('a backup that is not level refuses, and nothing is paused', async (t) => {
  const bus = new MemoryBus({ seed: 32, time: 'real' });
  const primary = startPrimary(t, bus);
  await primary.events.find('state', ({ to }) => to === 'joining');
  await t.throwsAsync(primary.agent.switchOver(), { code: 'E_SWITCHOVER_REFUSED' });
  t.true(primary.guest.isRunning);
});

test('a standby that fails to load costs a moment: the guest goes on where it was', async (t) => {
  const bus = new MemoryBus({ seed: 33, time: 'real' });
  const backup = await startBackup(t, bus, tmpfsFolder(t), undefined, { loadFailures: 9 });
  const primary = startPrimary(t, bus);
  await primary.events.find('ack', ({ epoch }) => epoch >= 5);
  const from = primary.events.events.length;
  await t.throwsAsync(primary.agent.switchOver(), { code: 'E_SWITCHOVER_ROLLED_BACK' });
  await primary.events.find('term', ({ mode }) => mode === 'solo', from);
  const { counter } = primary.guest;
  await primary.events.find('state', ({ to }) => to === 'protected', from);
  t.true(primary.guest.isRunning);
  t.true(primary.guest.counter > counter);
  t.is(backup.events.events.filter((event) => event.kind === 'takeover').length, 0);
  t.true(
    backup.events.events.filter((event) => event.kind === 'standby').length >= 2,
    'a fresh one',
  );
});

test('a backup that dies during a switchover leaves the guest where it was', async (t) => {
  const bus = new MemoryBus({ seed: 34, time: 'real', delayMsMin: 5, delayMsMax: 20 });
  const backup = await startBackup(t, bus, tmpfsFolder(t));
  const primary = startPrimary(t, bus);
  await primary.events.find('ack', ({ epoch }) => epoch >= 5);
  const refused = t.throwsAsync(primary.agent.switchOver(), { code: 'E_SWITCHOVER_ROLLED_BACK' });
  await primary.events.find('state', ({ to }) => to === 'handing-over');
  // Before it can acknowledge the last epoch.
  backup.transport.disconnect();
  await refused;
  await primary.events.find('state', ({ from, to }) => from === 'claiming' && to === 'joining');
  const { counter } = primary.guest;
  const deadline = performance.now() + 120_000;
  while (primary.guest.counter <= counter && performance.now() < deadline) await sleep(10);
  t.true(primary.guest.counter > counter);
  t.is(backup.events.events.filter((event) => event.kind === 'takeover').length, 0);
});

test('an agent that is stopped in the middle of a switchover leaves one copy running', async (t) => {
  const bus = new MemoryBus({ seed: 35, time: 'real', delayMsMin: 5, delayMsMax: 20 });
  const backup = await startBackup(t, bus, tmpfsFolder(t));
  const primary = startPrimary(t, bus);
  await primary.events.find('ack', ({ epoch }) => epoch >= 5);
  const over = primary.agent.switchOver().catch(() => {});
  await primary.events.find('state', ({ to }) => to === 'handing-over');
  await primary.stop();
  await over;
  const tookOver = () => backup.events.events.some((event) => event.kind === 'takeover');
  const deadline = performance.now() + 120_000;
  while (primary.guest.isRunning === tookOver() && performance.now() < deadline) await sleep(10);
  // Whoever's claim came second has read so; give it its time.
  await Promise.race([backup.result, sleep(1000)]);
  t.is(primary.guest.isRunning, !tookOver());
});

/** A switchover, and the two roles after it: `keeps` says what the old host knows of its RAM. */
async function swapped(t: ExecutionContext, seed: number, keeps: 'all' | 'nothing' | 'damage') {
  const bus = new MemoryBus({ seed, time: 'real' });
  const backup = await startBackup(t, bus, tmpfsFolder(t));
  const primary = startPrimary(t, bus);
  await primary.events.find('ack', ({ epoch }) => epoch >= 5);
  await primary.agent.switchOver();
  await primary.outcome;
  const known = primary.agent.ramAsLeft();
  t.truthy(known, 'nothing was written after the last checkpoint');
  const { guest, base } = await backup.result;
  const { memory } = primary.guest;
  if (keeps === 'damage') memory.writePages(Uint32Array.of(77), 1, new Uint8Array(4096).fill(9), 0);
  const old = await startBackup(t, bus, tmpfsFolder(t), memory, {
    host: hosts.a,
    known: keeps === 'nothing' ? undefined : known,
  });
  const next = startPrimary(t, bus, {
    ...{ guest: guest as SyntheticGuest, host: hosts.b, base, agentId: '00000000000000a2' },
  });
  return { old, next };
}

test('after a switchover the old host is level without digests, and is verified then', async (t) => {
  const { old, next } = await swapped(t, 36, 'all');
  const sync = await next.events.find('sync', ({ phase }) => phase === 'done');
  t.is(sync.by, 'handover');
  await next.events.find('state', ({ to }) => to === 'protected');
  const sides = ['primary', 'backup'] as const;
  for (const wanted of sides) {
    const { ok, epoch } = await next.events.find('verify', ({ side }) => side === wanted);
    t.true(ok);
    t.is(Number(epoch), 2);
  }
  t.true((await old.events.find('verify')).ok, 'its RAM file was read');
  await next.events.find('ack', ({ epoch }) => epoch >= 10);
});

test('an old host that was restarted after a switchover is brought level by digests', async (t) => {
  const { next } = await swapped(t, 37, 'nothing');
  const sync = await next.events.find('sync', ({ phase }) => phase === 'done');
  t.is(sync.by, 'digests');
  await next.events.find('state', ({ to }) => to === 'protected');
});

test('an old host whose RAM is not what it was handed over as is found, and mended', async (t) => {
  const { old, next } = await swapped(t, 38, 'damage');
  const first = await next.events.find('sync', ({ phase }) => phase === 'done');
  t.is(first.by, 'handover');
  const from = next.events.events.indexOf(first) + 1;
  const mended = await next.events.find('sync', ({ phase }) => phase === 'done', from);
  t.is(mended.by, 'digests');
  await next.events.find('state', ({ to }) => to === 'protected', from);
  t.false((await old.events.find('verify')).ok);
  const page = new Uint8Array(4096);
  old.memory.readRange(77, 1, page, 0);
  t.false(page.every((byte) => byte === 9));
});
