import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { startSecureServers } from '../cli/secure-servers.ts';
import { readCounter } from '../shared/qemu/counter-guest.ts';
import { guestPid, openRam, startHosts, startProtected } from './hosts.ts';

test('over mutual TLS, with the least permissions, a guest is taken over and protected again', async (t) => {
  const servers = await startSecureServers(t, ['counter@east', 'counter@west']);
  const natsOf = (role: 'primary' | 'backup') =>
    servers.config('counter', role === 'primary' ? 'east' : 'west').nats;
  const hosts = await startHosts(t, 2000, natsOf);
  const { primary, backup } = await startProtected(hosts);
  primary.process.kill('SIGKILL');
  process.kill(await guestPid(primary), 'SIGKILL');
  await primary.ended();
  const died = readCounter(openRam(hosts.primaryRam));
  const done = await backup.find('takeover');
  t.is(done.ramDigestFound, done.ramDigestExpected);
  const ram = openRam(hosts.backupRam);
  for (const deadline = performance.now() + 120_000; readCounter(ram) <= died; await sleep(20)) {
    if (performance.now() > deadline) throw new Error('it does not count on');
  }
  // Each host now has the other role, with the same key.
  const back = hosts.start('primary');
  await back.find('standby');
  await backup.find('state', ({ role, to }) => role === 'primary' && to === 'protected');
  for (const agent of [primary, backup, back]) {
    t.false(agent.log().includes('E_NATS_'), agent.log());
    t.false(agent.log().includes('E_FRAME_'), agent.log());
  }
});
