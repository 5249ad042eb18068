import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { isUnderstudyError } from '../../../shared/errors.ts';
import type { GuestEvent } from '../../../shared/guest/guest.ts';
import { type GuestConfig, guestPaths } from '../../../shared/qemu/guest-options.ts';
import { identify, isRunning } from '../../../shared/qemu/process-record.ts';
import { QemuGuest } from '../../../shared/qemu/qemu-guest.ts';
import { QmpClient } from '../../../shared/qemu/qmp.ts';
import { mountTmpfs } from '../../tmpfs.ts';
import { type CounterLab, counterLab, readCounter, waitForCount } from './counter-guest.ts';

function newLab(t: ExecutionContext): CounterLab {
  const lab = counterLab({});
  t.teardown(lab.remove);
  return lab;
}

async function started(t: ExecutionContext, config: GuestConfig): Promise<QemuGuest> {
  const guest = await QemuGuest.start(config);
  t.teardown(async () => {
    await guest.terminate();
    await guest.detach();
  });
  return guest;
}

async function refusal(t: ExecutionContext, act: Promise<unknown>, code: string): Promise<Error> {
  const error = await t.throwsAsync(act);
  t.true(isUnderstudyError(error, code), String(error?.stack));
  return error!;
}

test('a guest outlives its killed agent, and the next agent adopts it', async (t) => {
  const lab = newLab(t);
  const script = fileURLToPath(new URL('start-and-wait.js', import.meta.url));
  const agent = spawn(process.execPath, [script, JSON.stringify(lab.config)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.teardown(() => agent.kill('SIGKILL'));
  const [output] = (await once(agent.stdout, 'data')) as [Buffer];
  const pid = Number(output.toString());
  const session = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')[3];
  t.is(Number(session), pid, 'a session of its own: no signal of a terminal reaches it');
  await refusal(t, QemuGuest.adopt(lab.config), 'E_GUEST_LOCKED');
  await refusal(t, QemuGuest.start(lab.config), 'E_GUEST_LOCKED');

  agent.kill('SIGKILL');
  await once(agent, 'exit');
  await refusal(t, QemuGuest.start(lab.config), 'E_GUEST_RUNNING');
  const other = { ...lab.config, vcpus: 2 };
  await refusal(t, QemuGuest.adopt(other), 'E_GUEST_MISMATCH');
  const elsewhere = { ...lab.config, memoryFolder: join(lab.config.memoryFolder, 'elsewhere') };
  const moved = await refusal(t, QemuGuest.adopt(elsewhere), 'E_GUEST_UNPROTECTABLE');
  t.regex(moved.message, /QEMU has 0 of \d+ bytes/);
  t.regex((moved as Error & { hint: string }).hint, /guest.memoryFolder/);

  const { guest, found } = await QemuGuest.adopt(lab.config);
  t.is(found, 'running');
  t.is(guest.pid, pid);
  const count = readCounter(guest.memory);
  await waitForCount(guest.memory, count + 100);
  await guest.pause();
  t.true((await guest.saveDeviceState()).length > 0);
  await guest.resume();
  await guest.detach();
  t.true(isRunning(identify(pid)!), 'letting go does not end it');
  const { guest: again } = await QemuGuest.adopt(lab.config);
  await again.terminate();
  t.is(identify(pid), undefined);
  await again.detach();
});

test('a record of a process that ended, or whose pid is another’s now, is not adopted', async (t) => {
  const lab = newLab(t);
  await refusal(t, QemuGuest.adopt(lab.config), 'E_GUEST_NOT_RUNNING');
  const first = await QemuGuest.start(lab.config, { paused: true });
  const { record } = guestPaths(lab.config);
  const kept = JSON.parse(readFileSync(record, 'utf8'));
  await first.terminate();
  await first.detach();
  await refusal(t, QemuGuest.adopt(lab.config), 'E_GUEST_NOT_RUNNING');
  writeFileSync(record, JSON.stringify({ ...kept, pid: process.pid }));
  await refusal(t, QemuGuest.adopt(lab.config), 'E_GUEST_NOT_RUNNING');
  writeFileSync(record, '{"pid": 1');
  await refusal(t, QemuGuest.adopt(lab.config), 'E_GUEST_RECORD');
  writeFileSync(record, JSON.stringify({ ...kept, pid: process.pid }));
  const second = await started(t, lab.config);
  await waitForCount(second.memory, 10);
});

test('who finds a guest that stands still knows whose it is to let it run', async (t) => {
  const lab = newLab(t);
  const first = await QemuGuest.start(lab.config, { paused: true });
  await first.detach();
  const fresh = await QemuGuest.adopt(lab.config);
  t.is(fresh.found, 'new');
  await fresh.guest.resume();
  // An agent that is killed between `stop` and `cont` lets go in the same state.
  await fresh.guest.pause();
  await fresh.guest.detach();
  const left = await QemuGuest.adopt(lab.config);
  t.is(left.found, 'paused');
  await left.guest.resume();
  const operator = await QmpClient.connect({ path: guestPaths(lab.config).operatorMonitor });
  t.teardown(() => operator.close());
  const told = new Promise((resolve) => left.guest.onEvent(({ kind }) => resolve(kind)));
  await operator.execute('stop');
  t.is(await told, 'stopped');
  // A checkpoint of a guest that its operator stopped changes nothing of that.
  await left.guest.pause();
  await left.guest.resume();
  t.false(await left.guest.isRunning());
  await left.guest.detach();
  const stopped = await QemuGuest.adopt(lab.config);
  t.is(stopped.found, 'stopped');
  await stopped.guest.pause();
  await stopped.guest.resume();
  t.false(await stopped.guest.isRunning(), 'it stays stopped until its operator lets it run');
  await operator.execute('cont');
  t.true(await stopped.guest.isRunning());
  await stopped.guest.detach();
});

test('what others do to the guest is told, what this agent does is not', async (t) => {
  const lab = newLab(t);
  const guest = await started(t, lab.config);
  const seen: GuestEvent[] = [];
  guest.onEvent((event) => seen.push(event));
  await guest.pause();
  await guest.resume();
  const operator = await QmpClient.connect({ path: guestPaths(lab.config).operatorMonitor });
  await operator.execute('stop');
  t.false(await guest.isRunning());
  await operator.execute('cont');
  await operator.execute('system_reset');
  await guest.isRunning();
  operator.execute('quit').catch(() => undefined);
  for (let i = 0; i < 6000 && seen.at(-1)?.kind !== 'gone'; i++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  operator.close();
  // SeaBIOS resets the machine once more when it finds itself in a warm start.
  const kinds = seen.map(({ kind }) => kind).filter((kind, i, all) => kind !== all[i - 1]);
  t.deepEqual(kinds, ['stopped', 'resumed', 'reset', 'shutdown', 'gone'], JSON.stringify(seen));
  await refusal(t, guest.pause(), 'E_QEMU_EXITED');
});

test('a QEMU that hangs is E_QMP_TIMEOUT and serves again when it goes on', async (t) => {
  const lab = newLab(t);
  const guest = await started(t, lab.config);
  process.kill(guest.pid, 'SIGSTOP');
  try {
    await refusal(t, guest.pause(), 'E_QMP_TIMEOUT');
  } finally {
    process.kill(guest.pid, 'SIGCONT');
  }
  await guest.pause();
  await guest.resume();
  t.true(await guest.isRunning());
});

test('a QEMU that can’t start is one error with its own words, and leaves nothing', async (t) => {
  const lab = newLab(t);
  const server = createServer().listen(0, '127.0.0.1');
  t.teardown(() => server.close());
  await once(server, 'listening');
  const hostPort = (server.address() as { port: number }).port;
  const taken: GuestConfig = {
    ...lab.config,
    networks: [{ kind: 'user', hostForward: [{ hostPort, guestPort: 22 }] }],
  };
  const missing = { ...lab.config, kernel: join(lab.folder, 'no-kernel') };
  const wrong = { ...lab.config, extraArguments: ['-device', 'no-such-device'] };
  const cases: [GuestConfig, string, RegExp, RegExp][] = [
    [taken, 'E_QEMU_EXITED', /host forwarding/, /hostPort/],
    [missing, 'E_QEMU_EXITED', /no-kernel/, /path/],
    [wrong, 'E_QEMU_EXITED', /no-such-device/, /extraArguments/],
    [{ ...lab.config, qemu: 'no-such-qemu' }, 'E_QEMU_MISSING', /ENOENT/, /apt-get install/],
    [{ ...lab.config, machine: 'q35' }, 'E_GUEST_CONFIG', /no version/, /pc-i440fx-7.2/],
    [{ ...lab.config, extraArguments: ['--incoming'] }, 'E_GUEST_CONFIG', /--incoming/, /itself/],
    [{ ...lab.config, runFolder: `/tmp/${'x'.repeat(100)}` }, 'E_GUEST_CONFIG', /too long/, /107/],
    [{ ...lab.config, runFolder: '/dev/null/x' }, 'E_RUN_FOLDER', /ENOTDIR/, /runFolder/],
    [{ ...lab.config, memoryBytes: 2 ** 50 }, 'E_TMPFS_FULL', /no room/, /remount/],
    [{ ...lab.config, memoryFolder: '/proc/self' }, 'E_MEMORY_FILE', /tmpfs/, /memoryFolder/],
  ];
  for (const [config, code, message, hint] of cases) {
    const error = await refusal(t, QemuGuest.start(config), code);
    t.regex(error.message, message);
    t.regex((error as Error & { hint: string }).hint, hint);
  }
  const guest = await started(t, lab.config);
  t.truthy(guest.pid, 'nothing of the failed starts is in the way');
});

test('a guest that could not be resumed elsewhere is E_GUEST_UNPROTECTABLE with why', async (t) => {
  const lab = newLab(t);
  const nvme = [
    ...['-blockdev', 'null-co,node-name=null0,size=1048576'],
    ...['-device', 'nvme,serial=1,drive=null0'],
  ];
  const dimm = ['-object', 'memory-backend-ram,id=extra,size=16M'];
  for (const [extraArguments, reason] of [
    [nvme, /nvme/],
    [dimm, /"extra" does not lie in the shared RAM file/],
  ] as const) {
    const config = { ...lab.config, extraArguments };
    const error = await refusal(t, QemuGuest.start(config), 'E_GUEST_UNPROTECTABLE');
    t.regex(error.message, reason);
    const { pid } = JSON.parse(readFileSync(guestPaths(config).record, 'utf8'));
    t.is(identify(pid), undefined, 'its process is gone');
  }
});

test('device state that finds no room on the tmpfs is E_TMPFS_FULL, and the guest goes on', async (t) => {
  const lab = newLab(t);
  const memoryFolder = join(lab.config.memoryFolder, 'small');
  t.teardown(mountTmpfs(memoryFolder, '40m'));
  const guest = await started(t, { ...lab.config, memoryFolder });
  await waitForCount(guest.memory, 500);
  await guest.pause();
  const filler = join(memoryFolder, 'filler');
  t.throws(() => writeFileSync(filler, new Uint8Array(40 * 2 ** 20)), { code: 'ENOSPC' });
  const error = await refusal(t, guest.saveDeviceState(), 'E_TMPFS_FULL');
  t.regex((error as Error & { hint: string }).hint, /remount/);
  rmSync(filler);
  t.true((await guest.saveDeviceState()).length > 0);
  await guest.resume();
  await waitForCount(guest.memory, readCounter(guest.memory) + 100);
});
