import test from 'ava';
import { toGuestConfig } from '../../../shared/config/guest-section.ts';
import { defaults, type GuestSection } from '../../../shared/config/schema.ts';

const noUplink = { kind: 'none', name: null, bridge: null, address: null, gateway: null } as const;

const section: GuestSection = {
  ...defaults('primary', 'lab').guest,
  kernel: '/boot/vmlinuz',
  append: 'quiet',
  networks: [
    {
      ...{ kind: 'user', mac: null, uplink: noUplink },
      hostForward: [{ hostPort: 8080, guestPort: 80 }],
    },
    { kind: 'none', mac: null, uplink: noUplink, hostForward: [] },
  ],
};

test("the guest section becomes QEMU's view of it, each guest in a folder of its own", (t) => {
  const guest = toGuestConfig(section);
  t.is(guest.memoryBytes, 512 * 2 ** 20);
  t.is(guest.runFolder, '/run/understudy/lab');
  t.is(guest.kernel, '/boot/vmlinuz');
  t.is(guest.append, 'quiet');
  t.is(guest.initrd, undefined);
  t.deepEqual(guest.networks, [
    { kind: 'user', hostForward: [{ hostPort: 8080, guestPort: 80 }] },
    { kind: 'none' },
  ]);
});

test('no key of the guest section is lost on the way to QEMU', (t) => {
  const renamed = new Map([['memory', 'memoryBytes']]);
  const guest = toGuestConfig(section);
  // The agent's own: QEMU has nothing to do with it.
  const { stateFolder: _, ...forQemu } = section;
  for (const key of Object.keys(forQemu))
    t.true(Object.hasOwn(guest, renamed.get(key) ?? key), key);
});

test('a command line that is empty is none: QEMU refuses one without a kernel', (t) => {
  t.is(toGuestConfig({ ...section, append: '' }).append, undefined);
});

test('a cable has an address and an uplink, and a TAP without a name gets one that fits', (t) => {
  const tap = (name: string | null) => ({ ...noUplink, kind: 'tap', name, bridge: 'br0' }) as const;
  const cable = { kind: 'cable', mac: null, hostForward: [] } as const;
  const { networks } = toGuestConfig({
    ...section,
    networks: [
      { ...cable, uplink: noUplink },
      { ...cable, mac: '52:54:00:00:00:01', uplink: tap('tap7') },
      { ...cable, uplink: tap(null) },
      { ...cable, uplink: tap(null) },
    ],
  });
  t.deepEqual(networks[0], { kind: 'cable', mac: null, uplink: { kind: 'none' } });
  const uplink = { kind: 'tap', name: 'tap7', bridge: 'br0' } as const;
  t.deepEqual(networks[1], { kind: 'cable', mac: '52:54:00:00:00:01', uplink });
  const names = networks
    .slice(2)
    .map((one) => 'uplink' in one && 'name' in one.uplink && one.uplink.name);
  t.is(new Set(names).size, 2);
  for (const name of names) t.regex(String(name), /^us[0-9a-f]{10}-[0-9]$/);
});

test('an uplink of kind passt takes the ports that the card forwards', (t) => {
  const [user] = section.networks;
  const { networks } = toGuestConfig({
    ...section,
    networks: [
      {
        ...{ kind: 'cable', mac: null, hostForward: user!.hostForward },
        uplink: { ...noUplink, kind: 'passt', address: '10.0.2.15/24', gateway: '10.0.2.2' },
      },
    ],
  });
  const forward = user!.hostForward;
  const uplink = { kind: 'passt', address: '10.0.2.15/24', gateway: '10.0.2.2', forward } as const;
  t.deepEqual(networks, [{ kind: 'cable', mac: null, uplink }]);
});
