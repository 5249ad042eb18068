import { spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import type { AgentStatus } from '../../shared/agent/agent-status.ts';
import { readCounter } from '../shared/qemu/counter-guest.ts';
import { type Agent, guestPid, isAlive, openRam, startHosts, startProtected } from './hosts.ts';

/** What an operator sees and does, with the command itself, on a real pair. */

const launcher = fileURLToPath(new URL('../../../bin/understudy', import.meta.url));
const deadlineMs = 120_000;

function understudy(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(launcher, args, { encoding: 'utf8' });
}

function statusOf(agent: Agent): AgentStatus {
  const { stdout, stderr } = understudy('status', '--json', '-c', agent.configFile);
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout);
}

/** Asks until the status is as wanted. */
async function statusWhen(
  agent: Agent,
  isWanted: (status: AgentStatus) => boolean,
): Promise<AgentStatus> {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    const status = statusOf(agent);
    if (isWanted(status)) return status;
    if (performance.now() > deadline) throw new Error(`it stays ${JSON.stringify(status)}`);
    await sleep(100);
  }
}

/** Wide enough that a busy machine is not taken for a silent host. */
const limitMs = 8000;

test.serial('status tells both sides when the guest is protected, and when not, why', async (t) => {
  const hosts = await startHosts(t, limitMs);
  const { primary, backup } = await startProtected(hosts);

  const ofPrimary = await statusWhen(primary, (status) => status.protected);
  t.is(ofPrimary.role, 'primary');
  t.true(ofPrimary.runsHere);
  t.true(ofPrimary.epochs.acknowledged! >= 3);
  t.true(ofPrimary.pause!.medianMs > 0);
  t.is(ofPrimary.term!.mode, 'protected');
  t.true(ofPrimary.term!.heldHere);
  const ofBackup = await statusWhen(backup, (status) => status.protected);
  t.is(ofBackup.role, 'backup');
  t.false(ofBackup.runsHere);
  t.false(ofBackup.term!.heldHere);
  t.is(ofBackup.term!.number, ofPrimary.term!.number);
  const text = understudy('status', '-c', primary.configFile);
  t.regex(text.stdout, /^counter: PROTECTED\n/);

  // A backup that is gone: not protected from the first missed heartbeats on.
  backup.process.kill('SIGKILL');
  await backup.ended();
  const absent = understudy('status', '-c', backup.configFile);
  t.is(absent.status, 1);
  t.regex(absent.stderr, /E_AGENT_ABSENT/);
  const lost = await statusWhen(primary, (status) => !status.protected);
  t.truthy(lost.notProtected);
});

test.serial('a pause outlives both agents, and nobody takes over until resume', async (t) => {
  const hosts = await startHosts(t, limitMs);
  const { primary, backup } = await startProtected(hosts);
  const pid = await guestPid(primary);
  const refused = understudy('pause', '-c', backup.configFile);
  t.is(refused.status, 1);
  t.regex(refused.stderr, /E_NOT_PRIMARY/);

  const paused = understudy('pause', 'counter', '-c', primary.configFile);
  t.is(paused.status, 0, paused.stderr);
  t.regex(paused.stdout, /UNPROTECTED/);
  await backup.find('state', ({ to, cause }) => to === 'waiting' && /paused/.test(cause));
  for (const agent of [primary, backup]) {
    const status = await statusWhen(agent, ({ paused }) => paused !== null);
    t.false(status.protected);
    t.regex(status.notProtected!, /paused/);
  }
  t.regex(understudy('pause', '-c', primary.configFile).stdout, /already/);

  // Both agents are lost, the primary's last: who comes back finds the pause in the record.
  const count = readCounter(openRam(hosts.primaryRam));
  backup.process.kill('SIGKILL');
  await backup.ended();
  const otherBackup = hosts.start('backup');
  await otherBackup.find('standby');
  primary.process.kill('SIGKILL');
  await primary.ended();
  t.truthy((await statusWhen(otherBackup, ({ paused }) => paused !== null)).paused);
  const otherPrimary = hosts.start('primary');
  await otherPrimary.find('state', ({ to }) => to === 'paused');
  t.is((await otherPrimary.find('guest')).pid, pid);
  t.true(readCounter(openRam(hosts.primaryRam)) > count, 'the guest ran on all the while');
  await statusWhen(otherPrimary, ({ paused: since }) => since !== null);
  t.false(otherBackup.log().includes('taking-over'));

  const resumed = understudy('resume', '-c', otherPrimary.configFile);
  t.is(resumed.status, 0, resumed.stderr);
  await statusWhen(otherPrimary, (status) => status.protected && status.paused === null);
  await statusWhen(otherBackup, (status) => status.protected);
});

/** Moves the guest from `from`, however often the machine is too slow for it. */
async function switchOver(from: Agent): Promise<string> {
  const deadline = performance.now() + 2 * deadlineMs;
  for (;;) {
    await statusWhen(from, (status) => status.protected);
    const { status, stdout, stderr } = understudy('switchover', 'counter', '-c', from.configFile);
    if (status === 0) return stdout;
    const isExpected = /E_SWITCHOVER_(REFUSED|ROLLED_BACK)/.test(stderr);
    if (!isExpected || performance.now() > deadline) throw new Error(stderr);
  }
}

test.serial(
  'a switchover moves the guest there and back, and is refused with the reason',
  async (t) => {
    const hosts = await startHosts(t, limitMs);
    const { primary, backup } = await startProtected(hosts);
    const pid = await guestPid(primary);
    t.regex(understudy('switchover', '-c', backup.configFile).stderr, /E_NOT_PRIMARY/);
    t.is(understudy('pause', '-c', primary.configFile).status, 0);
    const refused = understudy('switchover', '-c', primary.configFile);
    t.is(refused.status, 1);
    t.regex(refused.stderr, /E_SWITCHOVER_REFUSED.*paused/s);
    t.true(isAlive(pid));
    t.is(understudy('resume', '-c', primary.configFile).status, 0);

    const count = readCounter(openRam(hosts.primaryRam));
    // Answered by the agent that has handed its guest over: the socket outlives the role.
    t.regex(await switchOver(primary), /other host/);
    const there = await statusWhen(
      backup,
      ({ role, ...status }) => role === 'primary' && status.runsHere,
    );
    t.true(there.takeover!.planned);
    t.regex(understudy('status', '-c', backup.configFile).stdout, /by a switchover/);
    await statusWhen(primary, (status) => status.role === 'backup' && status.protected);
    t.false(isAlive(pid), 'the old copy is gone');
    t.true(readCounter(openRam(hosts.backupRam)) > count, 'the guest counts on');

    await switchOver(backup);
    const back = await statusWhen(
      primary,
      ({ role, ...status }) => role === 'primary' && status.runsHere,
    );
    t.true(back.takeover!.planned);
    await statusWhen(backup, (status) => status.role === 'backup' && status.protected);
  },
);
