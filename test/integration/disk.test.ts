import { execFile, spawnSync } from 'node:child_process';
import {
  closeSync,
  openSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import type { GuestSection } from '../../shared/config/schema.ts';
import { readCounter, waitForCount } from '../shared/qemu/counter-guest.ts';
import { mountTmpfs } from '../tmpfs.ts';
import { type Agent, cmp, guestPid, type Hosts, openRam, startHosts, stopGuest } from './hosts.ts';
import { checkSectors, complaintOf, makeWritingGuest, sectorCount } from './writing-guest.ts';

/**
 * A guest with a replicated disk, on two hosts. It writes by itself (`writing-guest.ts`), or what
 * it would write comes by a second client of its disk.
 */

const launcher = fileURLToPath(new URL('../../../bin/understudy', import.meta.url));
const mib = 2 ** 20;
const diskBytes = 64 * mib;

type Side = 'a' | 'b';
const imageOf = (hosts: Hosts, side: Side) => join(hosts.folder, `${side}.raw`);

/** The keys of the guest on one host, with the image of that host. */
function withDisk(hosts: Hosts, side: Side): Partial<GuestSection> {
  const boot = { path: join(hosts.folder, 'boot.img'), format: 'raw', readonly: true } as const;
  const data = { path: imageOf(hosts, side), format: 'raw', readonly: false } as const;
  return {
    disks: [
      { ...boot, replicate: false },
      { ...data, replicate: true },
    ],
  };
}

function makeImage(hosts: Hosts, side: Side, bytes = diskBytes): void {
  writeFileSync(imageOf(hosts, side), '');
  truncateSync(imageOf(hosts, side), bytes);
}

async function qemuIo(hosts: Hosts, side: Side, ...commands: string[]): Promise<string> {
  const uri = `nbd+unix:///disk0?socket=${join(hosts.folder, side, 'counter', 'disks.sock')}`;
  const args = ['-f', 'raw', ...commands.flatMap((one) => ['-c', one]), uri];
  return (await promisify(execFile)('qemu-io', args, { timeout: 120_000 })).stdout;
}

/** Waits until everything that was written by now is on the backup. */
async function acknowledged(primary: Agent): Promise<void> {
  const from = primary.now();
  const { epoch } = await primary.find('epoch', () => true, from);
  await primary.find('ack', (ack) => ack.epoch > epoch, from);
}

/** Waits until the host's map of changes names a session: it is put there beside the guest. */
async function mapSettled(hosts: Hosts, side: Side): Promise<void> {
  const path = join(hosts.folder, `${side}-state`, 'counter', 'disk-changes-0');
  const deadline = performance.now() + 120_000;
  for (;;) {
    const bytes = readFileSync(path);
    // Two slots of a page each, the session behind magic and sequence.
    const isNamed = [16, 4096 + 16].some(
      (at) => bytes.length >= at + 8 && bytes.readBigUInt64LE(at) !== 0n,
    );
    if (isNamed) return;
    if (performance.now() > deadline) throw new Error(`${path} names no session`);
    await sleep(50);
  }
}

async function startSides(hosts: Hosts): Promise<{ primary: Agent; backup: Agent }> {
  const backup = hosts.start('backup', withDisk(hosts, 'b'));
  const primary = hosts.start('primary', withDisk(hosts, 'a'));
  await primary.find('state', ({ to }) => to === 'protected');
  return { primary, backup };
}

async function killHost(primary: Agent): Promise<void> {
  const pid = await guestPid(primary);
  primary.process.kill('SIGKILL');
  process.kill(pid, 'SIGKILL');
  await primary.ended();
}

const pattern = (image: string, offset: number, length: number, byte: number): boolean =>
  readFileSync(image)
    .subarray(offset, offset + length)
    .every((found) => found === byte);

const monitorOf = (hosts: Hosts, side: Side) => join(hosts.folder, side, 'counter');
const ramOf = (hosts: Hosts, side: Side) =>
  openRam(side === 'a' ? hosts.primaryRam : hosts.backupRam);

test.serial(
  'killed at any moment, the guest finds the disk that its memory believes in',
  async (t) => {
    const hosts = await startHosts(t, 5000);
    makeWritingGuest(join(hosts.folder, 'boot.img'), 100_000);
    makeImage(hosts, 'a');
    makeImage(hosts, 'b');
    const { primary, backup } = await startSides(hosts);
    const afterMs = Math.floor(Math.random() * 700);
    t.log(`killed after ${afterMs} ms`);
    await waitForCount(ramOf(hosts, 'a'), 2 * sectorCount);
    await sleep(afterMs);
    await killHost(primary);
    const died = readCounter(ramOf(hosts, 'a'));
    await backup.find('takeover');
    hosts.start('primary', withDisk(hosts, 'a'));
    await backup.find('state', ({ role, to }) => role === 'primary' && to === 'protected');
    await waitForCount(ramOf(hosts, 'b'), died + 2 * sectorCount);
    await stopGuest(monitorOf(hosts, 'b'), backup);
    await acknowledged(backup);
    t.is(complaintOf(ramOf(hosts, 'b')), undefined);
    t.is(checkSectors(imageOf(hosts, 'b'), ramOf(hosts, 'b')), undefined);
    // What the old host wrote beyond the epoch is gone.
    t.is(cmp(imageOf(hosts, 'a'), imageOf(hosts, 'b')), undefined);
    t.is(cmp(hosts.primaryRam, hosts.backupRam), undefined);
  },
);

/** Moves the guest to the other host, however often the machine is too slow for it. */
async function switchOver(from: Agent): Promise<void> {
  const deadline = performance.now() + 240_000;
  for (;;) {
    try {
      await promisify(execFile)(launcher, ['switchover', 'counter', '-c', from.configFile]);
      return;
    } catch (error) {
      const { stderr = '' } = error as { stderr?: string };
      const isExpected = /E_SWITCHOVER_(REFUSED|ROLLED_BACK)/.test(stderr);
      if (!isExpected || performance.now() > deadline) throw error;
      await sleep(500);
    }
  }
}

test.serial('a switchover takes the disk along, and no write is lost', async (t) => {
  const hosts = await startHosts(t, 5000);
  makeWritingGuest(join(hosts.folder, 'boot.img'), 100_000);
  makeImage(hosts, 'a');
  makeImage(hosts, 'b');
  const { primary, backup } = await startSides(hosts);
  await waitForCount(ramOf(hosts, 'a'), 2 * sectorCount);
  await switchOver(primary);
  t.true((await backup.find('takeover')).planned);
  await backup.find('state', ({ role, to }) => role === 'primary' && to === 'protected');
  await waitForCount(ramOf(hosts, 'b'), readCounter(ramOf(hosts, 'b')) + 2 * sectorCount);
  await stopGuest(monitorOf(hosts, 'b'), backup);
  await acknowledged(backup);
  t.is(complaintOf(ramOf(hosts, 'b')), undefined);
  t.is(checkSectors(imageOf(hosts, 'b'), ramOf(hosts, 'b')), undefined);
  t.is(cmp(imageOf(hosts, 'a'), imageOf(hosts, 'b')), undefined);
});

test.serial(
  'the disk of the resumed epoch is there, and a host that returns is made the same',
  async (t) => {
    const hosts = await startHosts(t, 5000);
    makeImage(hosts, 'a');
    makeImage(hosts, 'b');
    // What was there before protection, and what the backup has in excess.
    const content = Buffer.alloc(8 * mib, 0x11);
    writeFileSync(imageOf(hosts, 'a'), content, { flag: 'r+' });
    writeFileSync(imageOf(hosts, 'b'), Buffer.alloc(30 * mib, 0x22), { flag: 'r+' });
    const { primary, backup } = await startSides(hosts);
    const first = await primary.find('disk-sync', ({ phase }) => phase === 'done');
    t.true(first.sentBytes <= 30 * mib, `${first.sentBytes} bytes, more than what differs`);

    await qemuIo(hosts, 'a', 'write -P 0x33 4M 3M', 'write -z 1M 64k', 'discard 2M 64k', 'flush');
    await acknowledged(primary);
    t.is(cmp(imageOf(hosts, 'a'), imageOf(hosts, 'b')), undefined);

    await mapSettled(hosts, 'a');
    // Under way when the host dies: on the backup it is there whole epochs at a time, or not.
    const writing = qemuIo(
      hosts,
      'a',
      ...Array.from({ length: 60 }, (_, i) => `write -P 0x44 ${40 * 1024 + i * 64}k 64k`),
    );
    writing.catch(() => {});
    await killHost(primary);
    await writing.catch(() => {});
    const takeover = await backup.find('takeover');
    t.is(takeover.ramDigestFound, takeover.ramDigestExpected);
    t.true(pattern(imageOf(hosts, 'b'), 4 * mib, 3 * mib, 0x33));
    t.true(pattern(imageOf(hosts, 'b'), mib, 65536, 0));
    const marks = Array.from({ length: 60 }, (_, i) =>
      pattern(imageOf(hosts, 'b'), 40 * mib + i * 65536, 65536, 0x44),
    );
    const whole = marks.includes(false) ? marks.indexOf(false) : marks.length;
    t.is(marks.lastIndexOf(true), whole - 1, 'no write without those before it');

    // The survivor serves from its own copy; what the old host wrote last nobody may see again.
    await qemuIo(hosts, 'b', 'write -P 0x66 20M 1M', 'read -P 0x33 4M 3M');
    const back = hosts.start('primary', withDisk(hosts, 'a'));
    await back.find('standby');
    await backup.find('state', ({ role, to }) => role === 'primary' && to === 'protected');
    await acknowledged(backup);
    t.is(cmp(imageOf(hosts, 'a'), imageOf(hosts, 'b')), undefined);
    t.true(pattern(imageOf(hosts, 'a'), 20 * mib, mib, 0x66));
    const again = await backup.find('disk-sync', ({ phase }) => phase === 'done');
    // At most what either has changed, and read is only where that lies.
    t.true(again.sentBytes <= 1.2 * (60 * 65536 + mib), `${again.sentBytes} bytes sent`);
    const { birthtimeNs } = statSync(imageOf(hosts, 'a'), { bigint: true });
    // A file system that does not say when a file was made can't tell it from another one.
    const readBytesMax = birthtimeNs > 0n ? diskBytes - 16 * mib : diskBytes;
    t.true(again.readBytes <= readBytesMax, `${again.readBytes} bytes read`);
    t.is(statSync(imageOf(hosts, 'a')).size, diskBytes);
  },
);

test.serial('a disk that was damaged on the backup is found, named and mended', async (t) => {
  const hosts = await startHosts(t, 5000);
  makeImage(hosts, 'a');
  makeImage(hosts, 'b');
  const { primary } = await startSides(hosts);
  await qemuIo(hosts, 'a', 'write -P 0x17 3M 1M');
  await acknowledged(primary);
  const verify = () =>
    promisify(execFile)(launcher, ['verify', 'counter', '-c', primary.configFile]).then(
      ({ stdout }) => ({ status: 0, stdout }),
      (error: { code: number; stdout: string }) => ({ status: error.code, stdout: error.stdout }),
    );
  t.regex((await verify()).stdout, /disk 0: 16384 pages compared, none differs/);
  const image = openSync(imageOf(hosts, 'b'), 'r+');
  writeSync(image, Buffer.alloc(2, 0x18), 0, 2, 3 * mib + 4095);
  writeSync(image, Buffer.alloc(1, 0x19), 0, 1, diskBytes - 1);
  closeSync(image);
  const { status, stdout } = await verify();
  t.is(status, 1, stdout);
  t.regex(stdout, /disk 0: 16384 pages compared, 3 DIFFERED and were sent again/);
  const told = await primary.find('disk-verify', ({ differingPages }) => differingPages > 0);
  t.is(told.firstDifferingPage, (3 * mib) / 4096);
  await acknowledged(primary);
  t.is(cmp(imageOf(hosts, 'a'), imageOf(hosts, 'b')), undefined);
});

test.serial(
  'a backup that is killed while it applies, or whose disk is full, is brought level again',
  async (t) => {
    const hosts = await startHosts(t, 20_000);
    const small = join(hosts.folder, 'small');
    t.teardown(mountTmpfs(small, '16m'));
    makeImage(hosts, 'a');
    const image = join(small, 'b.raw');
    writeFileSync(image, '');
    truncateSync(image, diskBytes);
    const onSmall = { disks: withDisk(hosts, 'b').disks!.map((disk) => ({ ...disk })) };
    onSmall.disks[1]!.path = image;
    let backup = hosts.start('backup', onSmall);
    const primary = hosts.start('primary', withDisk(hosts, 'a'));
    await primary.find('state', ({ to }) => to === 'protected');

    // Killed somewhere in the epochs of these writes.
    const writes = Array.from({ length: 24 }, (_, i) => `write -P ${i + 1} ${i * 256}k 256k`);
    const writing = qemuIo(hosts, 'a', ...writes);
    await backup.find('commit', () => true, backup.now());
    const standby = await guestPid(backup);
    backup.process.kill('SIGKILL');
    process.kill(standby, 'SIGKILL');
    await backup.ended();
    await writing;
    backup = hosts.start('backup', onSmall);
    let from = primary.now();
    await primary.find('state', ({ to }) => to === 'protected', from);
    await acknowledged(primary);
    t.is(cmp(imageOf(hosts, 'a'), image), undefined);

    // More than the backup has room for: the guest's own disk takes it, and the guest runs on.
    from = primary.now();
    await qemuIo(hosts, 'a', 'write -P 0x77 16M 30M');
    await backup.find(
      'warning',
      ({ code, message }) => code === 'E_DISK_IO' && /ENOSPC/.test(message),
    );
    await primary.find('state', (event) => event.from === 'protected', from);
    t.is(primary.process.ended, undefined);
    spawnSync('mount', ['-o', 'remount,size=100m', small]);
    await primary.find('state', ({ to }) => to === 'protected', from);
    await acknowledged(primary);
    t.is(cmp(imageOf(hosts, 'a'), image), undefined);
  },
);

test.serial(
  'an agent that is killed finds its guest and its disk again, and the guest waits',
  async (t) => {
    const hosts = await startHosts(t, 20_000);
    makeImage(hosts, 'a');
    makeImage(hosts, 'b');
    const { primary } = await startSides(hosts);
    await qemuIo(hosts, 'a', 'write -P 1 0 1M');
    primary.process.kill('SIGKILL');
    await primary.ended();
    const again = hosts.start('primary', withDisk(hosts, 'a'));
    t.is((await again.find('guest')).change, 'adopted');
    await again.find('state', ({ to }) => to === 'protected');
    await qemuIo(hosts, 'a', 'write -P 2 2M 1M');
    await acknowledged(again);
    t.is(cmp(imageOf(hosts, 'a'), imageOf(hosts, 'b')), undefined);
  },
);

test.serial(
  'an image of another size is refused by name, and the guest runs on unprotected',
  async (t) => {
    const hosts = await startHosts(t);
    makeImage(hosts, 'a');
    makeImage(hosts, 'b', diskBytes / 2);
    hosts.start('backup', withDisk(hosts, 'b'));
    const primary = hosts.start('primary', withDisk(hosts, 'a'));
    const { message } = await primary.find('warning', ({ code }) => code === 'E_DISK_SIZE');
    t.regex(message, /disk 0 is 67108864 bytes on the primary, 33554432 bytes on the backup/);
    t.is(primary.process.ended, undefined);
  },
);
