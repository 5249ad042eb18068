import { fileURLToPath } from 'node:url';
import test from 'ava';
import {
  backupConfig,
  countForwards,
  primaryConfig,
  sideFolders,
  toLabConfig,
  wantsLabGuest,
  withLabGuest,
} from '../../drill/lab-config.ts';
import { loadConfig, parseConfig } from '../../shared/config/load.ts';
import { printConfig } from '../../shared/config/print.ts';
import type { AnyConfig } from '../../shared/config/schema.ts';

const labFile = fileURLToPath(new URL('../../../configs/lab.yaml', import.meta.url));
const labGuest = { kernel: '/k', initrd: '/i', append: 'quiet', recipeDigest: '00' };
const primarySide = sideFolders('primary', '/tmp/x', '/dev/shm/x', [4001]);
const backupSide = sideFolders('backup', '/tmp/x', '/dev/shm/x', [4002]);

test("the two agents' files are valid and differ in folders and host ports only", (t) => {
  const lab = withLabGuest(toLabConfig(loadConfig(labFile)), labGuest, 'lab.load=kv');
  const primary = primaryConfig(lab, primarySide, {
    servers: ['nats://127.0.0.1:4222'],
    replicas: 1,
  });
  const backup = backupConfig(lab, backupSide, { servers: ['nats://127.0.0.1:4222'], replicas: 1 });
  t.deepEqual(parseConfig(printConfig(primary), 'primary.yaml'), primary);
  t.deepEqual(parseConfig(printConfig(backup), 'backup.yaml'), backup);
  t.is(primary.guest.networks[0]!.hostForward[0]!.hostPort, 4001);
  t.is(backup.guest.networks[0]!.hostForward[0]!.hostPort, 4002);
  const same = { runFolder: '', memoryFolder: '', stateFolder: '', serialLog: null, networks: [] };
  t.deepEqual({ ...primary.guest, ...same }, { ...backup.guest, ...same });
  t.deepEqual(primary.heartbeat, backup.heartbeat);
  t.not(primary.log.eventsFile, backup.log.eventsFile);
});

test('what the lab file says reaches the agents', (t) => {
  const text = `role: lab
guest: { name: g, memory: 64MiB }
epoch: { intervalMs: 33 }
heartbeat: { intervalMs: 20, limitMs: 90 }
verify: { everyEpochs: 5 }
`;
  const lab = toLabConfig(parseConfig(text, 'lab.yaml'));
  t.true(wantsLabGuest(lab));
  const primary = primaryConfig(lab, primarySide, { servers: ['nats://127.0.0.1:1'], replicas: 3 });
  const backup = backupConfig(lab, backupSide, { servers: ['nats://127.0.0.1:1'], replicas: 3 });
  t.is(primary.epoch.intervalMs, 33);
  t.is(primary.verify.everyEpochs, 5);
  t.is(primary.guest.memory, 64 * 2 ** 20);
  t.is(backup.heartbeat.limitMs, 90);
  t.is(backup.arbiter.replicas, 3);
});

test("a primary's file serves a drill with its own guest", (t) => {
  const text = `role: primary
guest:
  name: own
  kernel: /boot/mine
  networks: [{ kind: user, hostForward: [{ hostPort: 8080, guestPort: 80 }] }]
epoch: { intervalMs: 50 }
`;
  const lab = toLabConfig(parseConfig(text, 'primary.yaml'));
  t.is(lab.role, 'lab');
  t.false(wantsLabGuest(lab));
  t.is(lab.epoch.intervalMs, 50);
  t.is(countForwards(lab.guest), 1);
  const own = { ...primarySide, hostPorts: [] };
  const primary = primaryConfig(lab, own, { servers: ['nats://127.0.0.1:1'], replicas: 3 });
  const backup = backupConfig(lab, backupSide, { servers: ['nats://127.0.0.1:1'], replicas: 3 });
  t.is(primary.guest.networks[0]!.hostForward[0]!.hostPort, 8080, 'the ports asked for');
  t.is(backup.guest.networks[0]!.hostForward[0]!.hostPort, 4002, 'a free one on the same machine');
});

test('each host of a drill has an image of its own, and the real one is not theirs', (t) => {
  const text = `role: primary
guest:
  name: g
  kernel: k
  disks: [{ path: /shared.raw }, { path: /d.raw, replicate: true }]
`;
  const lab = toLabConfig(parseConfig(text, 'primary.yaml'));
  const nats = { servers: ['nats://127.0.0.1:1'], replicas: 1 };
  const pathsOf = (config: AnyConfig) => config.guest.disks.map(({ path }) => path);
  t.deepEqual(pathsOf(primaryConfig(lab, primarySide, nats)), [
    ...['/shared.raw', '/tmp/x/primary-disks/disk1.raw'],
  ]);
  t.deepEqual(pathsOf(backupConfig(lab, backupSide, nats)), [
    ...['/shared.raw', '/tmp/x/backup-disks/disk1.raw'],
  ]);
});

test('the lab guest gets the disk that its file asks for, and no other guest does', (t) => {
  const text = 'role: lab\nguest: { name: g }\ndrill: { dataDisk: 64MiB }\n';
  const lab = withLabGuest(toLabConfig(parseConfig(text, 'lab.yaml')), labGuest, 'lab.load=kv');
  t.deepEqual(
    lab.guest.disks.map(({ replicate }) => replicate),
    [true],
  );
  t.regex(lab.guest.append, /lab\.disk=\/dev\/vda/);
  const own = text.replace('name: g', 'name: g, kernel: k');
  t.throws(() => parseConfig(own, 'lab.yaml'), { message: /drill\.dataDisk: is of the lab guest/ });
});
