import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { checkRegion, readCounter } from '../shared/qemu/counter-guest.ts';
import {
  type Agent,
  cmp,
  guestPid,
  type Hosts,
  isAlive,
  openRam,
  operate,
  regionPages,
  startHosts,
  startProtected,
  stopGuest,
} from './hosts.ts';

const side = (hosts: Hosts, name: 'a' | 'b') => join(hosts.folder, name, 'counter');

/** The guest that an agent looks after now: the one that it started, adopted or resumed last. */
async function runningGuest(agent: Agent): Promise<{ pid: number }> {
  await agent.find('guest', ({ change }) => change === 'started' || change === 'adopted');
  const guests = agent.process.tail.events.filter((event) => event.kind === 'guest');
  return { pid: guests.at(-1)!.pid };
}

/** What is wrong with the RAM of the guest that `agent` runs, which is stopped for the look. */
async function checkedRegion(hosts: Hosts, agent: Agent): Promise<string | undefined> {
  const { pid } = await runningGuest(agent);
  const name = readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('/a/counter') ? 'a' : 'b';
  await stopGuest(side(hosts, name), agent);
  const ram = name === 'a' ? hosts.primaryRam : hosts.backupRam;
  return checkRegion(openRam(ram), regionPages);
}

test.serial('RAM of both hosts is the same file, by cmp, at an epoch', async (t) => {
  const hosts = await startHosts(t);
  const { primary } = await startProtected(hosts);
  await stopGuest(side(hosts, 'a'), primary);
  const { epoch } = await primary.find('epoch', () => true, primary.now());
  await primary.find('ack', (ack) => ack.epoch > epoch);
  t.is(cmp(hosts.primaryRam, hosts.backupRam), undefined);
  t.is(checkRegion(openRam(hosts.backupRam), regionPages), undefined);
  const count = readCounter(openRam(hosts.primaryRam));
  t.true(count > 0);
  await sleep(300);
  t.is(readCounter(openRam(hosts.primaryRam)), count, 'a guest that its operator stopped stays so');
  await operate(side(hosts, 'a'), 'cont');
  await primary.find('epoch', ({ dirtyPages }) => dirtyPages > 1, primary.now());
  t.true(readCounter(openRam(hosts.primaryRam)) > count);
});

test.serial(
  'when agent and QEMU are killed at once, the guest counts on from the epoch',
  async (t) => {
    const hosts = await startHosts(t);
    const { primary, backup } = await startProtected(hosts);
    const pid = await guestPid(primary);
    primary.process.kill('SIGKILL');
    process.kill(pid, 'SIGKILL');
    const died = readCounter(openRam(hosts.primaryRam));
    const done = await backup.find('takeover');
    t.is(done.ramDigestFound, done.ramDigestExpected);
    primary.process.tail.poll();
    const captured = await primary.find('epoch', ({ epoch }) => epoch === done.epoch);
    t.is(captured.ramDigest, done.ramDigestFound!);
    const ram = openRam(hosts.backupRam);
    const deadline = performance.now() + 120_000;
    while (readCounter(ram) <= died && performance.now() < deadline) await sleep(20);
    t.true(readCounter(ram) > died);
    await operate(side(hosts, 'b'), 'stop');
    t.is(checkRegion(ram, regionPages), undefined);
  },
);

test.serial(
  'guest and roles go back and forth: each host that returns is the backup',
  async (t) => {
    const hosts = await startHosts(t);
    let { primary, backup } = await startProtected(hosts);
    for (const round of [1, 2, 3]) {
      const pid = (await runningGuest(primary)).pid;
      primary.process.kill('SIGKILL');
      process.kill(pid, 'SIGKILL');
      await primary.ended();
      const before = round === 1 ? 0 : backup.now();
      const done = await backup.find('takeover', () => true, before);
      t.is(done.ramDigestFound, done.ramDigestExpected, `round ${round}`);
      // It comes back in the role of its file, and must not run a second copy whatever that is.
      const back = hosts.start(round % 2 === 1 ? 'primary' : 'backup');
      await back.find('standby');
      t.true(back.log().includes('E_SUPERSEDED') || round % 2 === 0);
      await backup.find(
        'state',
        ({ role, to }) => role === 'primary' && to === 'protected',
        before,
      );
      [primary, backup] = [backup, back];
    }
    t.is(await checkedRegion(hosts, primary), undefined);
  },
);

test.serial('an agent that is killed finds its guest again, and nobody takes over', async (t) => {
  const hosts = await startHosts(t, 20_000);
  const { primary, backup } = await startProtected(hosts);
  const pid = await guestPid(primary);
  primary.process.kill('SIGKILL');
  await primary.ended();
  t.true(isAlive(pid));
  const again = hosts.start('primary');
  const adopted = await again.find('guest');
  t.deepEqual([adopted.change, adopted.pid], ['adopted', pid]);
  await again.find('state', ({ to }) => to === 'protected');
  const sync = await again.find('sync', ({ phase }) => phase === 'done');
  t.true(sync.bytes < 2 ** 20, `${sync.bytes} bytes to bring a backup level that holds nearly all`);
  t.is(backup.process.ended, undefined);
  t.false(backup.log().includes('takeover'));
  again.process.kill('SIGTERM');
  t.is(await again.ended(), 'ended with status 0');
  t.true(isAlive(pid), 'the guest of a stopped primary keeps running');
  await backup.find('state', ({ to }) => to === 'waiting');
});

test.serial('an agent that is killed in a pause leaves no guest standing still', async (t) => {
  const hosts = await startHosts(t);
  const primary = hosts.start('primary');
  await primary.find('state', ({ to }) => to === 'joining');
  const ram = openRam(hosts.primaryRam);
  const runs = async (from: number) => {
    const deadline = performance.now() + 30_000;
    while (readCounter(ram) <= from && performance.now() < deadline) await sleep(20);
    return readCounter(ram) > from;
  };
  t.true(await runs(0));
  primary.process.kill('SIGKILL');
  await primary.ended();
  // As between the `stop` and the `cont` of a checkpoint.
  await operate(side(hosts, 'a'), 'stop');
  writeFileSync(join(side(hosts, 'a'), 'held'), '1');
  const count = readCounter(ram);
  const again = hosts.start('primary');
  await again.find('guest', ({ change }) => change === 'adopted');
  t.true(await runs(count), 'without a backup, too');
});

test.serial('QEMU that dies alone is taken over, and the primary says why it ends', async (t) => {
  const hosts = await startHosts(t);
  const { primary, backup } = await startProtected(hosts);
  process.kill(await guestPid(primary), 'SIGKILL');
  t.is(await primary.ended(), 'ended with status 1');
  t.regex(primary.log(), /E_GUEST_GONE/);
  const done = await backup.find('takeover');
  t.is(done.ramDigestFound, done.ramDigestExpected);
});

test.serial(
  'an agent that is killed in a takeover that it won is started again, and the guest goes on',
  async (t) => {
    const hosts = await startHosts(t);
    const { primary, backup } = await startProtected(hosts);
    const standby = await guestPid(backup);
    // It can't be loaded: the agent has its term, and the guest does not run yet.
    process.kill(standby, 'SIGSTOP');
    const pid = await guestPid(primary);
    primary.process.kill('SIGKILL');
    process.kill(pid, 'SIGKILL');
    const died = readCounter(openRam(hosts.primaryRam));
    const { term } = await backup.find('term');
    backup.process.kill('SIGKILL');
    await backup.ended();
    process.kill(standby, 'SIGKILL');
    const again = hosts.start('backup');
    const done = await again.find('takeover');
    t.is(done.term, term);
    t.is(done.ramDigestFound, done.ramDigestExpected);
    const ram = openRam(hosts.backupRam);
    const deadline = performance.now() + 120_000;
    while (readCounter(ram) <= died && performance.now() < deadline) await sleep(20);
    t.true(readCounter(ram) > died);
    await again.find('state', ({ role, to }) => role === 'primary' && to === 'joining');
    await operate(side(hosts, 'b'), 'stop');
    t.is(checkRegion(ram, regionPages), undefined);
  },
);

test.serial(
  'both agents and the guest are killed: the backup, started again, takes over',
  async (t) => {
    const hosts = await startHosts(t);
    const { primary, backup } = await startProtected(hosts);
    const pid = await guestPid(primary);
    backup.process.kill('SIGKILL');
    primary.process.kill('SIGKILL');
    process.kill(pid, 'SIGKILL');
    const died = readCounter(openRam(hosts.primaryRam));
    await Promise.all([backup.ended(), primary.ended()]);
    primary.process.tail.poll();
    const acks = primary.process.tail.events.filter((event) => event.kind === 'ack');
    const again = hosts.start('backup');
    const done = await again.find('takeover');
    t.is(done.ramDigestFound, done.ramDigestExpected);
    t.true(done.epoch >= acks.at(-1)!.epoch, 'so it has all that was said');
    const ram = openRam(hosts.backupRam);
    const deadline = performance.now() + 120_000;
    while (readCounter(ram) <= died && performance.now() < deadline) await sleep(20);
    t.true(readCounter(ram) > died);
  },
);

test.serial('a guest that its operator ends is not resurrected', async (t) => {
  const hosts = await startHosts(t);
  const { primary, backup } = await startProtected(hosts);
  await operate(side(hosts, 'a'), 'quit');
  t.is(await primary.ended(), 'ended with status 0');
  await backup.find('state', ({ to }) => to === 'waiting');
  t.true(isAlive(await guestPid(backup)), 'the standby waits on');
});

test.serial('a guest that reboots stays protected, with a new baseline', async (t) => {
  const hosts = await startHosts(t);
  const { primary, backup } = await startProtected(hosts);
  await operate(side(hosts, 'a'), 'system_reset');
  const since = primary.now();
  await primary.find('guest', ({ change }) => change === 'reset');
  const { epoch } = await primary.find('epoch', () => true, since);
  await primary.find('ack', (ack) => ack.epoch > epoch + 5);
  const pid = await guestPid(primary);
  primary.process.kill('SIGKILL');
  process.kill(pid, 'SIGKILL');
  const done = await backup.find('takeover');
  t.is(done.ramDigestFound, done.ramDigestExpected);
  const ram = openRam(hosts.backupRam);
  const count = readCounter(ram);
  const deadline = performance.now() + 120_000;
  while (readCounter(ram) <= count && performance.now() < deadline) await sleep(20);
  t.true(readCounter(ram) > count);
});

test.serial('NATS that goes away and comes back costs protection, not the guest', async (t) => {
  const hosts = await startHosts(t, 20_000);
  const { primary, backup } = await startProtected(hosts);
  const since = primary.now();
  await hosts.restartServer(4000);
  await primary.find('ack', () => true, since + 1);
  const { epoch } = await primary.find('epoch', () => true, primary.now());
  await primary.find('ack', (ack) => ack.epoch >= epoch, since);
  t.true(isAlive(await guestPid(primary)));
  t.false(backup.log().includes('taking-over'), 'who can hear nobody takes nothing over');
});

test.serial(
  'QEMU that hangs is waited for: the guest is protected again when it goes on',
  async (t) => {
    const hosts = await startHosts(t, 20_000);
    const { primary, backup } = await startProtected(hosts);
    const pid = await guestPid(primary);
    process.kill(pid, 'SIGSTOP');
    const since = primary.now();
    const warning = await primary.find('warning', ({ code }) => /QMP|PAUSED/.test(code), since);
    t.truthy(warning.hint);
    t.is(primary.process.ended, undefined);
    process.kill(pid, 'SIGCONT');
    await primary.find('state', ({ to }) => to === 'protected', since);
    const before = readCounter(openRam(hosts.primaryRam));
    await primary.find('ack', () => true, primary.now());
    await primary.find('ack', () => true, primary.now());
    t.true(readCounter(openRam(hosts.primaryRam)) > before, 'the guest runs again');
    t.false(backup.log().includes('taking-over'));
  },
);

test.serial('a second primary of one guest on a host is refused; the first goes on', async (t) => {
  const hosts = await startHosts(t, 20_000);
  const { primary } = await startProtected(hosts);
  const second = hosts.start('primary');
  t.is(await second.ended(), 'ended with status 1');
  t.regex(second.log(), /E_GUEST_LOCKED/);
  await primary.find('ack', () => true, primary.now());
});

test.serial(
  'a backup that is killed and comes back is brought level by what differs',
  async (t) => {
    const hosts = await startHosts(t);
    const { primary, backup } = await startProtected(hosts);
    backup.process.kill('SIGKILL');
    await backup.ended();
    const since = primary.now();
    const again = hosts.start('backup');
    const sync = await primary.find('sync', ({ phase }) => phase === 'done', since);
    t.true(sync.bytes < 2 ** 20, `${sync.bytes} bytes`);
    await primary.find('state', ({ to }) => to === 'protected', since);
    const pid = await guestPid(primary);
    primary.process.kill('SIGKILL');
    process.kill(pid, 'SIGKILL');
    const done = await again.find('takeover');
    t.is(done.ramDigestFound, done.ramDigestExpected);
  },
);

test.serial('a backup for another machine is refused by the key that differs', async (t) => {
  const hosts = await startHosts(t);
  hosts.start('backup', { memory: 64 * 2 ** 20 });
  const primary = hosts.start('primary');
  const warning = await primary.find('warning', ({ code }) => code === 'E_PEER_MISMATCH');
  t.regex(warning.message, /guest\.memory differs/);
  t.true(isAlive(await guestPid(primary)), 'the guest runs on, unprotected');
});

test.serial('arguments that QEMU refuses are told in its own words', async (t) => {
  const hosts = await startHosts(t);
  const primary = hosts.start('primary', { extraArguments: ['-device', 'no-such-device'] });
  t.is(await primary.ended(), 'ended with status 1');
  t.regex(primary.log(), /E_QEMU_EXITED/);
  t.regex(primary.log(), /no-such-device/);
});

test.serial(
  'a host that froze and was taken over stops its copy as soon as it wakes',
  async (t) => {
    const hosts = await startHosts(t);
    const { primary, backup } = await startProtected(hosts);
    const pid = await guestPid(primary);
    primary.process.kill('SIGSTOP');
    process.kill(pid, 'SIGSTOP');
    await backup.find('takeover');
    const since = primary.now();
    process.kill(pid, 'SIGCONT');
    primary.process.kill('SIGCONT');
    await primary.find('state', ({ to }) => to === 'stopped', since);
    const deadline = performance.now() + 120_000;
    while (isAlive(pid) && performance.now() < deadline) await sleep(20);
    t.false(isAlive(pid), 'the old copy is gone');
    await primary.find('standby', () => true, since);
    await backup.find('state', ({ role, to }) => role === 'primary' && to === 'protected');
  },
);

test.serial(
  'an agent that was killed and passed by ends the copy that ran on without it',
  async (t) => {
    const hosts = await startHosts(t);
    const { primary, backup } = await startProtected(hosts);
    const pid = await guestPid(primary);
    primary.process.kill('SIGKILL');
    await backup.find('takeover');
    t.true(isAlive(pid), 'nobody was there to stop it');
    const again = hosts.start('primary');
    await again.find('standby');
    t.false(isAlive(pid));
    await backup.find('state', ({ role, to }) => role === 'primary' && to === 'protected');
  },
);
