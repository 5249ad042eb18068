import test from 'ava';
import type { GuestName } from '../../../shared/ids.ts';
import { qemuArguments } from '../../../shared/qemu/arguments.ts';
import {
  devicesDigest,
  type GuestConfig,
  guestPaths,
  macOf,
  type NetworkConfig,
} from '../../../shared/qemu/guest-options.ts';

const cable: NetworkConfig = { kind: 'cable', mac: null, uplink: { kind: 'none' } };

const guest = (networks: readonly NetworkConfig[], name = 'web'): GuestConfig => ({
  ...{ name: name as GuestName, memoryBytes: 2 ** 25, vcpus: 1, accelerator: 'tcg' },
  ...{ disks: [], networks, extraArguments: [], memoryFolder: '/dev/shm/m' },
  runFolder: `/run/a,b/${name}`,
});

function argumentsOf(config: GuestConfig): string[] {
  const paths = guestPaths(config);
  return qemuArguments({ config, paths, accelerator: 'tcg', role: 'guest' });
}

test("QEMU listens on the cable's socket, and each card has its own", (t) => {
  const given = argumentsOf(guest([cable, { kind: 'user', hostForward: [] }, cable]));
  const path = '/run/a,,b/web/cable';
  t.true(given.includes(`stream,id=net0,server=on,addr.type=unix,addr.path=${path}0.sock`));
  t.true(given.includes(`stream,id=net2,server=on,addr.type=unix,addr.path=${path}2.sock`));
  t.true(given.includes('user,id=net1'));
  const cards = given.filter((one) => one.startsWith('virtio-net-pci'));
  t.deepEqual(
    cards.map((card) => /netdev=(\w+)/.exec(card)?.[1]),
    ['net0', 'net1', 'net2'],
  );
});

test('a cable keeps its hardware address on every host, and no two cards share one', (t) => {
  const names = Array.from({ length: 200 }, (_, index) => `guest-${index}`);
  const addresses = names.flatMap((name) =>
    [0, 1].map((card) => macOf(guest([cable, cable], name), card)),
  );
  t.is(new Set(addresses).size, 400);
  for (const address of addresses) t.regex(address, /^52(:[0-9a-f]{2}){5}$/);
  // Written out: a release that changed it would change the address of every guest.
  t.is(macOf(guest([cable]), 0), '52:6e:02:e5:ce:8d');
});

test('an address that is given is used, and both sides have to agree on it', (t) => {
  const given = guest([{ ...cable, mac: '52:54:00:AA:00:01' }]);
  t.is(macOf(given, 0), '52:54:00:aa:00:01');
  t.true(argumentsOf(given).some((one) => one.includes('mac=52:54:00:aa:00:01,')));
  t.not(devicesDigest(given, 'tcg'), devicesDigest(guest([cable]), 'tcg'));
  const elsewhere: NetworkConfig = {
    ...cable,
    mac: null,
    uplink: { kind: 'tap', name: 'tap0', bridge: 'br0' },
  };
  t.is(devicesDigest(guest([elsewhere]), 'tcg'), devicesDigest(guest([cable]), 'tcg'));
});
