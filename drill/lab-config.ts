import { join } from 'node:path';
import {
  type AnyConfig,
  type BackupConfig,
  defaults,
  type GuestSection,
  type LabConfig,
  type PrimaryConfig,
} from '../shared/config/schema.ts';
import type { LabGuest } from './lab-guest/build.ts';
import { clientAddress, guestAddress, guestMac, hostBridge } from './network/lab-network.ts';

/** Any role's file serves a drill: what it does not say is as by default. */
export function toLabConfig(config: AnyConfig): LabConfig {
  const base = defaults('lab', config.guest.name);
  const { verify, role: _role, ...sections } = config;
  const known = Object.entries(sections).filter(([name]) => Object.hasOwn(base, name));
  return { ...base, ...Object.fromEntries(known), verify: { ...base.verify, ...verify } };
}

/** True where the file names nothing to boot: the drill brings its own guest then. */
export const wantsLabGuest = (config: LabConfig) =>
  config.guest.kernel === null && config.guest.disks.length === 0;

export const storePort = 6379;

/**
 * The guest section with the lab guest in it: its kernel, a mild load of keys and values, its data
 * disk if it is to have one, and a way to its store. `load` is a list of the words that
 * lab-guest/init.sh explains.
 */
export function withLabGuest(config: LabConfig, labGuest: LabGuest, load: string): LabConfig {
  const { kernel, initrd, append } = labGuest;
  const [first = userNetwork, ...others] = config.guest.networks;
  const forwards = first.hostForward.filter(({ guestPort }) => guestPort !== storePort);
  // The host's port is chosen for each run.
  const store = { hostPort: 1, guestPort: storePort };
  const networks = [{ ...first, hostForward: [...forwards, store] }, ...others];
  const hasDisk = config.drill.dataDisk !== null;
  const words = hasDisk ? `${load} lab.disk=/dev/vda` : load;
  const disks = hasDisk ? [dataDisk] : [];
  const guest = { ...config.guest, kernel, initrd, disks, networks };
  return { ...config, guest: { ...guest, append: `${append} ${words}` } };
}

/** Made for each run: `lab-disks.ts`. */
const dataDisk: GuestSection['disks'][number] = {
  path: 'data.raw',
  format: 'raw',
  replicate: true,
  readonly: false,
};

const userNetwork: GuestSection['networks'][number] = {
  kind: 'user',
  mac: null,
  uplink: { kind: 'none', name: null, bridge: null, address: null, gateway: null },
  hostForward: [],
};

/** The same guest on a cable, in the network that `network/lab-network.ts` makes. */
export function onCable(config: LabConfig): LabConfig {
  const place = { name: 'tap0', bridge: hostBridge, address: null, gateway: null };
  const uplink = { kind: 'tap' as const, ...place };
  const { guest } = config;
  const words = `lab.ip=${guestAddress}/24 lab.gw=${clientAddress}`;
  const networks = [{ kind: 'cable' as const, mac: guestMac, uplink, hostForward: [] }];
  return { ...config, guest: { ...guest, append: `${guest.append} ${words}`, networks } };
}

/** The servers of a drill, and how many of them keep the record of terms. */
export interface LabNats {
  readonly servers: string[];
  readonly replicas: number;
}

export interface SideFolders {
  readonly runFolder: string;
  readonly memoryFolder: string;
  readonly stateFolder: string;
  readonly eventsFile: string;
  readonly serialLog: string;
  /** For images of replicated disks. */
  readonly diskFolder: string;
  /** Ports of this machine for the guest's forwarded ports, in their order. */
  readonly hostPorts: readonly number[];
}

export const countForwards = (guest: GuestSection) =>
  guest.networks.reduce((count, network) => count + network.hostForward.length, 0);

export function primaryConfig(lab: LabConfig, side: SideFolders, nats: LabNats): PrimaryConfig {
  const { mode, epoch, tracker, identify, share, compress, flow, heartbeat, output, baseline } =
    lab;
  return {
    ...defaults('primary', lab.guest.name),
    ...{ mode, epoch, tracker, identify, share, compress, flow, heartbeat, output, baseline },
    guest: sideGuest(lab.guest, side),
    ...natsSections(nats),
    verify: { everyEpochs: lab.verify.everyEpochs, disksEveryMinutes: 0 },
    log: sideLog(lab, side),
  };
}

export function backupConfig(lab: LabConfig, side: SideFolders, nats: LabNats): BackupConfig {
  const { mode, heartbeat, output, staging } = lab;
  return {
    ...defaults('backup', lab.guest.name),
    ...{ mode, heartbeat, output, staging },
    guest: sideGuest(lab.guest, side),
    ...natsSections(nats),
    verify: { atTakeover: lab.verify.atTakeover },
    log: sideLog(lab, side),
  };
}

/** Where a side has the image of the guest's replicated disk of that index. */
export const diskPath = (side: SideFolders, index: number) =>
  join(side.diskFolder, `disk${index}.raw`);

/** The two sides differ in folders, host ports and images of replicated disks only. */
function sideGuest(guest: GuestSection, side: SideFolders): GuestSection {
  const ports = [...side.hostPorts];
  const networks = guest.networks.map((network) => ({
    ...network,
    hostForward: network.hostForward.map((forward) => ({
      ...forward,
      hostPort: ports.shift() ?? forward.hostPort,
    })),
  }));
  const disks = guest.disks.map((disk, index) =>
    disk.replicate ? { ...disk, path: diskPath(side, index) } : disk,
  );
  const { runFolder, memoryFolder, stateFolder, serialLog } = side;
  return { ...guest, disks, networks, runFolder, memoryFolder, stateFolder, serialLog };
}

/** A drill's server is on this machine, in networks that the drill made. */
function natsSections({ servers, replicas }: LabNats) {
  const { nats, arbiter } = defaults('primary', 'lab');
  return { nats: { ...nats, servers, tls: 'off' as const }, arbiter: { ...arbiter, replicas } };
}

const sideLog = (lab: LabConfig, side: SideFolders) => ({
  ...lab.log,
  format: 'pretty' as const,
  eventsFile: side.eventsFile,
});

/** Folder and file names of one side below the run's folders. */
export function sideFolders(
  side: string,
  runFolder: string,
  memoryFolder: string,
  hostPorts: readonly number[],
): SideFolders {
  return {
    // Short names: the path of a unix socket has at most 107 bytes.
    runFolder: join(runFolder, side),
    memoryFolder: join(memoryFolder, side),
    stateFolder: join(runFolder, `${side}-state`),
    eventsFile: join(runFolder, `${side}-events.jsonl`),
    serialLog: join(runFolder, `${side}-console.log`),
    diskFolder: join(runFolder, `${side}-disks`),
    hostPorts,
  };
}
