import { addressPattern, interfaceNamePattern, prefixedAddressPattern } from '../net/uplink.ts';
import { choice, flag, group, integer, list, optional, path, size, text } from './field.ts';

const mib = 2 ** 20;
const port = { min: 1, max: 65535 };

const disk = group('One disk, seen by the guest as a virtio block device.', {
  path: path({
    what: 'The image file.',
    why: 'Replicated: an image of its own on each host, of one size. Else one that both reach.',
  }),
  format: choice(['raw', 'qcow2'], {
    what: 'Format of the image.',
    why: 'Say what the image is; QEMU is never left to guess it.',
    fallback: 'raw',
  }),
  replicate: flag({
    what:
      'Whether the backup keeps a copy of its own, each epoch whole: the agent then is the disk ' +
      'server of the guest. For a `raw` image or a block device.',
    why: 'Set it to true on both hosts where they share no storage.',
    fallback: false,
  }),
  readonly: flag({
    what: 'Whether the guest may only read the disk.',
    why: 'A disk that is only read is the same after a takeover as before it.',
    fallback: false,
  }),
});

const hostForward = group('One TCP port of the host that leads to one of the guest.', {
  hostPort: integer({
    what: "Port on the host's loopback address.",
    why: 'Choose one that is free on both hosts.',
    ...port,
  }),
  guestPort: integer({
    what: 'Port of the service in the guest.',
    why: 'Set it to where the service listens.',
    ...port,
  }),
});

const interfaceName = {
  pattern: interfaceNamePattern,
  expected: 'a network interface’s name, 1–15 of letters, digits, ".", "_" and "-"',
};

const uplink = group('Where the frames of a `cable` leave the host.', {
  kind: choice(['none', 'tap', 'passt'], {
    what:
      '`tap`: a TAP interface of the host (root, or one made for this user); `passt`: sockets of ' +
      'the host, without root; `none`: nowhere.',
    why:
      'Set it to `tap` for clients to keep their connections at a takeover. With `passt` they ' +
      'break, and clients have to find the host that runs the guest.',
    fallback: 'none',
  }),
  name: optional(
    text({
      what: 'Name of the TAP; null: one made of the guest’s name and the number of the card.',
      why: 'Set it to find the interface again, or to use one that was made for this user.',
      ...interfaceName,
    }),
  ),
  bridge: optional(
    text({
      what: 'Bridge of the host to which the TAP is attached; null: none, as for a routed guest.',
      why: 'Set it to the bridge of the network that the clients are in, on both hosts.',
      ...interfaceName,
    }),
  ),
  address: optional(
    text({
      what: 'For `passt`: the guest’s IPv4 address with its prefix; passt offers it by DHCP, too.',
      why: 'Set it to what the guest has: the same on both hosts.',
      pattern: prefixedAddressPattern,
      expected: 'an address such as 10.0.2.15/24',
    }),
  ),
  gateway: optional(
    text({
      what: 'For `passt`: the address that the guest sends to for other networks.',
      why: 'Set it to the guest’s default route.',
      pattern: addressPattern,
      expected: 'an address such as 10.0.2.2',
    }),
  ),
});

const network = group('One network card, a virtio one.', {
  kind: choice(['user', 'cable', 'none'], {
    what:
      "What the card is plugged into: `user`, QEMU's own network; `cable`, the agent, which holds " +
      'output until the backup has acknowledged it; `none`, nothing.',
    why: '`cable` for clients to keep their connections; `none` for a guest that expects a card.',
    fallback: 'user',
  }),
  mac: optional(
    text({
      what: 'Hardware address of a `cable`; null: one made of the guest’s name and the card.',
      why: 'Set it where the network knows the guest by its address; the same on both hosts.',
      pattern: /^[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}$/,
      expected: 'an address such as 52:54:00:12:34:56, not one of a group',
    }),
  ),
  uplink,
  hostForward: list(hostForward, {
    what: 'Ports of the host that lead into the guest: of a `user` network, or of a cable with `passt`.',
    why: 'Add one for each service that is to be reached from outside.',
    countMax: 256,
  }),
});

/** The guest: the same on the primary and on the backup, or the takeover is refused. */
export const guestKeys = group('The guest. It has to be the same in both files of a pair.', {
  name: text({
    what: 'Name of the guest, the same on both sides; it is part of NATS subjects and paths.',
    why: 'Each guest on one NATS system needs its own.',
    pattern: /^[a-z0-9][a-z0-9-]{0,62}$/,
    expected: 'a name of 1–63 of a–z, 0–9 and "-", not starting with "-"',
  }),
  memory: size({
    what: "The guest's RAM, held in a file in `memoryFolder`.",
    why: 'Give the guest what its service needs; the first synchronisation grows with it.',
    min: 32 * mib,
    max: 2 ** 44,
    multipleOf: 2 * mib,
    fallback: 512 * mib,
  }),
  vcpus: integer({
    what: 'Virtual CPUs.',
    why: 'Raise it for a service that runs in parallel; it also writes memory faster then.',
    min: 1,
    max: 255,
    fallback: 1,
  }),
  accelerator: choice(['auto', 'kvm', 'tcg'], {
    what: '`auto` takes KVM where it works and TCG (emulation) elsewhere.',
    why: 'Name one to be sure that both hosts use the same: a guest cannot change it on the way.',
    fallback: 'auto',
  }),
  machine: text({
    what: "QEMU's versioned machine type.",
    why: 'Both hosts must have it: set it to what the older QEMU of the two offers.',
    pattern: /^[A-Za-z0-9._-]+-[0-9]+\.[0-9]+$/,
    expected: 'a machine type with its version, such as pc-i440fx-7.2 or pc-q35-7.2',
    fallback: 'pc-i440fx-7.2',
  }),
  cpu: optional(
    text({
      what: "QEMU's CPU model; null: `host` under KVM, `qemu64,+rdrand` under TCG.",
      why: 'Set it where two hosts with different processors form a pair.',
      pattern: /^[^\s]+$/,
      expected: 'a CPU model such as qemu64, max or host, without blanks',
    }),
  ),
  kernel: optional(
    path({
      what: 'Linux kernel to boot; null: the guest boots from its first disk.',
      why: 'Set it for a guest without a boot loader.',
    }),
  ),
  initrd: optional(
    path({
      what: 'Initial RAM disk for `kernel`.',
      why: 'Set it where the kernel needs modules, or the whole system is in it.',
    }),
  ),
  append: text({
    what: 'Command line for `kernel`.',
    why: 'Name the console and the root file system here.',
    fallback: '',
  }),
  disks: list(disk, {
    what: 'Disks of the guest, in order.',
    why: 'Add one for each image.',
    countMax: 16,
  }),
  networks: list(network, {
    what: 'Network cards of the guest, in order.',
    why: 'Add one for a guest that is to be reached.',
    countMax: 8,
  }),
  serialLog: optional(
    path({
      what: "File for what the guest writes to its first serial port; null: it's not kept.",
      why: 'Set it to see how a guest boots.',
    }),
  ),
  extraArguments: list(text({ what: 'One argument.', why: '', expected: 'text' }), {
    what: 'Arguments for QEMU beyond those that Understudy writes, one a line.',
    why: 'Add devices here; each must be one whose state QEMU can save.',
    countMax: 256,
  }),
  qemu: text({
    what: 'The QEMU to start, a name in PATH or an absolute path.',
    why: 'Set it to use another than the system has.',
    pattern: /^[^\s]+$/,
    expected: 'a program, without blanks',
    fallback: 'qemu-system-x86_64',
  }),
  runFolder: path({
    what: "Folder for sockets, process ids and state files, in a subfolder of the guest's name.",
    why: 'Change it to run without root, or to run two sides on one machine.',
    fallback: '/run/understudy',
  }),
  stateFolder: path({
    what:
      'Folder on a disk, with a subfolder of the guest’s name: this host’s name and the highest ' +
      'term that it has seen.',
    why: 'Change it to run without root, or to run two sides on one machine.',
    fallback: '/var/lib/understudy',
  }),
  memoryFolder: path({
    what: "Folder on tmpfs for the guest's RAM file.",
    why: 'Change it where /dev/shm is too small, or to run two sides on one machine.',
    fallback: '/dev/shm/understudy',
  }),
});
