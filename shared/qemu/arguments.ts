import {
  type AcceleratorKind,
  cablePath,
  defaultCpu,
  defaultMachine,
  type GuestConfig,
  type GuestPaths,
  type HostForward,
  macOf,
} from './guest-options.ts';

export interface ArgumentOptions {
  readonly config: GuestConfig;
  readonly paths: GuestPaths;
  readonly accelerator: AcceleratorKind;
  /** A standby waits for a stream; a guest boots. Everything else is the same for both. */
  readonly role: 'guest' | 'standby';
}

/**
 * QEMU's arguments. The vCPUs are held (`-S`) for both roles. RAM is one shared file; there is no
 * display and no option ROM for network cards, so that little memory lies outside that file.
 */
export function qemuArguments(options: ArgumentOptions): string[] {
  const { config, paths, accelerator, role } = options;
  const machine = config.machine ?? defaultMachine;
  return [
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-vga', 'none', '-S'],
    ...['-name', `guest=${config.name}`],
    ...['-machine', `${machine},memory-backend=${ramId}`],
    ...['-accel', accelerator, '-cpu', config.cpu ?? defaultCpu(accelerator)],
    ...['-smp', String(config.vcpus), '-m', `size=${config.memoryBytes / 1024}k`],
    ...['-object', memoryBackend(paths.ram, config.memoryBytes)],
    ...['-pidfile', paths.pidFile],
    ...monitor('agent', paths.monitor),
    ...monitor('operator', paths.operatorMonitor),
    ...monitor('devices', paths.devicesMonitor),
    ...serial(config.serialLog),
    ...kernel(config),
    ...config.disks.flatMap((_, index) => disk(config, paths, index)),
    ...config.networks.flatMap((_, card) => network(config, paths, card)),
    ...config.extraArguments,
    ...(role === 'standby' ? ['-incoming', 'defer'] : []),
  ];
}

/** Id of the memory backend, as `query-memdev` lists it. */
export const ramId = 'ram';

function memoryBackend(path: string, bytes: number): string {
  return `memory-backend-file,id=${ramId},size=${bytes},mem-path=${quoted(path)},share=on`;
}

function monitor(id: string, path: string): string[] {
  const socket = `socket,id=${id}-socket,path=${quoted(path)},server=on,wait=off`;
  return ['-chardev', socket, '-mon', `chardev=${id}-socket,id=${id},mode=control`];
}

/** There is always a serial device: the two sides must have the same devices. */
function serial(log: string | undefined): string[] {
  const backend = log === undefined ? 'null,id=serial0' : `file,id=serial0,path=${quoted(log)}`;
  return ['-chardev', `${backend}${log === undefined ? '' : ',append=on'}`].concat([
    '-serial',
    'chardev:serial0',
  ]);
}

function kernel(config: GuestConfig): string[] {
  return [
    ...(config.kernel === undefined ? [] : ['-kernel', config.kernel]),
    ...(config.initrd === undefined ? [] : ['-initrd', config.initrd]),
    ...(config.append === undefined ? [] : ['-append', config.append]),
  ];
}

function disk(guest: GuestConfig, paths: GuestPaths, index: number): string[] {
  const config = guest.disks[index]!;
  if (config.replicate === true) return replicatedDisk(guest, paths, index);
  const { path, format, readonly } = config;
  const file = `file=${quoted(path)},format=${format},readonly=${readonly === true ? 'on' : 'off'}`;
  const device = `virtio-blk-pci,id=disk${index},drive=disk${index}-file,bootindex=${index + 1}`;
  return ['-drive', `if=none,id=disk${index}-file,${file}`, '-device', device];
}

/**
 * A disk that the agent serves. A guest whose agent is away waits for its disk; an error of the
 * host's disk is the guest's to see, not a reason to stop it.
 */
function replicatedDisk(guest: GuestConfig, paths: GuestPaths, index: number): string[] {
  const before = guest.disks.slice(0, index).filter(({ replicate }) => replicate === true);
  const server = `server.type=unix,server.path=${quoted(paths.disks)},export=disk${before.length}`;
  const patience = `reconnect-delay=${reconnectSeconds},open-timeout=10`;
  const node = `driver=nbd,node-name=disk${index}-file,${server},${patience},discard=unmap`;
  const errors = 'rerror=report,werror=report';
  const device = `virtio-blk-pci,id=disk${index},drive=disk${index}-file,bootindex=${index + 1}`;
  return ['-blockdev', node, '-device', `${device},${errors}`];
}

/** A day: who ends an agent for longer ends the guest, too. */
const reconnectSeconds = 86_400;

function network(guest: GuestConfig, paths: GuestPaths, index: number): string[] {
  const config = guest.networks[index]!;
  const card = `virtio-net-pci,id=card${index},mac=${macOf(guest, index)},romfile=`;
  if (config.kind === 'none') return ['-device', card];
  const backend =
    config.kind === 'user'
      ? `user,id=net${index}${config.hostForward.map(forward).join('')}`
      : // QEMU listens: `shared/net/cable.ts` says why.
        `stream,id=net${index},server=on,addr.type=unix,addr.path=${quoted(cablePath(paths, index))}`;
  return ['-netdev', backend, '-device', `${card},netdev=net${index}`];
}

const forward = ({ hostPort, guestPort }: HostForward): string =>
  `,hostfwd=tcp:127.0.0.1:${hostPort}-:${guestPort}`;

/** QEMU's option syntax: a comma inside a value is doubled. */
const quoted = (value: string): string => value.replaceAll(',', ',,');
