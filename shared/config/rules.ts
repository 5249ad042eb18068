import { bounds } from '../bounds.ts';
import { clearTextProblem } from './nats-encryption.ts';
import type { AnyConfig, LabConfig, PrimaryConfig } from './schema.ts';
import { formatSize } from './size.ts';

const mib = 2 ** 20;

/** Something that has to hold between keys. */
export interface Rule {
  /** The keys that it looks at; skipped where one of them was refused already. */
  readonly keys: readonly string[];
  /** What is wrong, as a sentence; undefined where the rule holds. */
  check(config: Sections): string | undefined;
}

/** Any role's configuration: `guest` is always there, the rest only where the role has it. */
type Sections = Partial<Omit<LabConfig, 'guest' | 'role' | 'verify'>> & {
  readonly nats?: PrimaryConfig['nats'];
  readonly role: AnyConfig['role'];
  readonly guest: LabConfig['guest'];
};

/** A unix socket's address holds 108 bytes, the last one 0; sockets here are named so. */
const socketPathBytesMax = 107;
const longestSocketName = 'operator.sock';

/** Arguments of QEMU that Understudy writes itself, and what to set instead. */
const ownArguments: Readonly<Record<string, string>> = {
  '-m': 'guest.memory',
  '-smp': 'guest.vcpus',
  '-accel': 'guest.accelerator',
  '-enable-kvm': 'guest.accelerator',
  '-machine': 'guest.machine',
  '-M': 'guest.machine',
  '-cpu': 'guest.cpu',
  '-kernel': 'guest.kernel',
  '-initrd': 'guest.initrd',
  '-append': 'guest.append',
  '-name': 'guest.name',
  '-serial': 'guest.serialLog',
  '-mem-path': 'guest.memoryFolder',
  '-monitor': '',
  '-display': '',
  '-nographic': '',
  '-qmp': '',
  '-pidfile': '',
  '-daemonize': '',
  '-incoming': '',
  '-loadvm': '',
  '-snapshot': '',
  '-S': '',
};

export const rules: readonly Rule[] = [
  {
    keys: ['nats.tokenFile', 'nats.user', 'nats.nkeySeedFile', 'nats.credentialsFile'],
    check: ({ nats }) => {
      const ways = [nats?.tokenFile, nats?.user, nats?.nkeySeedFile, nats?.credentialsFile];
      const count = ways.filter((way) => way !== undefined && way !== null).length;
      return count < 2
        ? undefined
        : 'log in with a user, an nkey, a token or credentials, one of them';
    },
  },
  { keys: ['nats.servers', 'nats.tls'], check: ({ nats }) => nats && clearTextProblem(nats) },
  together('nats.user', 'nats.passwordFile', ({ nats }) => [nats?.user, nats?.passwordFile]),
  together('nats.tls.certFile', 'nats.tls.keyFile', ({ nats }) =>
    nats === undefined || nats.tls === 'off' ? [] : [nats.tls.certFile, nats.tls.keyFile],
  ),
  {
    keys: ['heartbeat.limitMs', 'heartbeat.intervalMs'],
    check: ({ heartbeat }) =>
      heartbeat === undefined || heartbeat.limitMs >= 3 * heartbeat.intervalMs
        ? undefined
        : `must be at least 3 times heartbeat.intervalMs (${heartbeat.intervalMs}), \
so that one lost sign of life is no takeover: at least ${3 * heartbeat.intervalMs}`,
  },
  {
    keys: ['output.rule', 'guest.networks'],
    check: ({ output, guest, role }) => {
      if (output === undefined || output.rule === 'commit') return undefined;
      // A drill puts its own guest on a cable.
      const isLabGuest = role === 'lab' && guest.kernel === null && guest.disks.length === 0;
      if (isLabGuest && guest.networks.length === 0) return undefined;
      if (guest.networks.some(({ kind }) => kind === 'cable')) return undefined;
      return `${output.rule} is about networks of kind cable, and the guest has none`;
    },
  },
  {
    keys: ['output.onBackupLost', 'output.rule'],
    check: ({ output }) =>
      output?.onBackupLost === 'stop' && output.rule === 'unsafe'
        ? '`stop` keeps what clients were told, which output.rule unsafe does not: choose one'
        : undefined,
  },
  {
    keys: ['output.inputLog.intervalMs', 'output.rule', 'epoch.intervalMs'],
    check: ({ output, epoch }) => {
      if (output?.rule !== 'input-log' || epoch === undefined) return undefined;
      if (output.inputLog.intervalMs < epoch.intervalMs) return undefined;
      return `must be below epoch.intervalMs (${epoch.intervalMs}), or commit answers sooner`;
    },
  },
  {
    keys: ['epoch.shortestMs', 'epoch.intervalMs'],
    check: ({ epoch }) =>
      epoch === undefined || epoch.shortestMs === null || epoch.shortestMs <= epoch.intervalMs
        ? undefined
        : `must be at most epoch.intervalMs (${epoch.intervalMs})`,
  },
  {
    keys: ['epoch.longestMs', 'epoch.intervalMs'],
    check: ({ epoch }) =>
      epoch === undefined || epoch.longestMs === null || epoch.longestMs >= epoch.intervalMs
        ? undefined
        : `must be at least epoch.intervalMs (${epoch.intervalMs})`,
  },
  {
    keys: ['flow.window', 'flow.chunk'],
    check: ({ flow }) => {
      if (flow === undefined || flow.chunk === null) return undefined;
      const message = flow.chunk + bounds.bodySlackBytes + bounds.frameHeaderBytes;
      const least = Math.ceil((bounds.creditShare * message) / mib) * mib;
      if (flow.window >= least) return undefined;
      return `${formatSize(flow.window)} does not hold ${bounds.creditShare} messages of \
flow.chunk (${formatSize(flow.chunk)}), as it is acknowledged by quarters: at least \
${formatSize(least)}`;
    },
  },
  {
    keys: ['epoch.captureBuffer', 'guest.memory'],
    check: ({ epoch, guest }) => atMostMemory(epoch?.captureBuffer, guest.memory),
  },
  {
    keys: ['compress.delta.keptPages', 'guest.memory'],
    check: ({ compress, guest }) => {
      const delta = compress?.delta;
      return delta?.enabled ? atMostMemory(delta.keptPages, guest.memory) : undefined;
    },
  },
  needsKernel('initrd'),
  needsKernel('append'),
  {
    keys: ['guest.kernel', 'guest.disks'],
    check: ({ role, guest }) =>
      role === 'lab' || guest.kernel !== null || guest.disks.length > 0
        ? undefined
        : 'the guest has nothing to boot from: set guest.kernel, or add a disk to guest.disks',
  },
  {
    keys: ['guest.disks'],
    check: ({ guest }) => {
      const unfit = guest.disks.find(
        ({ replicate, format, readonly }) => replicate && (format !== 'raw' || readonly),
      );
      return unfit === undefined
        ? undefined
        : `${unfit.path} is replicated, so it must be raw and not readonly`;
    },
  },
  {
    keys: ['drill.dataDisk', 'guest.kernel', 'guest.disks'],
    check: ({ drill, guest }) =>
      drill === undefined ||
      drill.dataDisk === null ||
      (guest.kernel === null && guest.disks.length === 0)
        ? undefined
        : 'is of the lab guest; a guest of your own has the disks of guest.disks',
  },
  {
    keys: ['guest.cpu', 'guest.accelerator'],
    check: ({ guest }) =>
      guest.cpu === 'host' && guest.accelerator === 'tcg'
        ? '`host` exists under KVM only: set guest.accelerator to kvm, or guest.cpu to max'
        : undefined,
  },
  {
    keys: ['guest.networks'],
    check: ({ guest }) => {
      const forwards = guest.networks.flatMap((network) => network.hostForward);
      const port = firstTwice(forwards.map((forward) => forward.hostPort));
      if (port !== undefined) return `host port ${port} is forwarded twice`;
      const isForwarded = guest.networks.some(
        (one) => one.kind !== 'user' && one.uplink.kind !== 'passt' && one.hostForward.length > 0,
      );
      return isForwarded
        ? "only QEMU's own network (kind user) and an uplink of kind passt forward ports"
        : undefined;
    },
  },
  {
    keys: ['guest.networks'],
    check: ({ guest }) => {
      const others = guest.networks.filter((one) => one.kind !== 'cable');
      if (others.some(({ mac, uplink }) => mac !== null || uplink.kind !== 'none')) {
        return 'only a network of kind cable has mac and uplink';
      }
      const taps = guest.networks.map((one) => one.uplink).filter((one) => one.kind === 'tap');
      const name = firstTwice(taps.map((one) => one.name).filter((one) => one !== null));
      if (name !== undefined) return `TAP ${name} is named twice`;
      const macs = guest.networks.map((one) => one.mac?.toLowerCase() ?? null);
      const mac = firstTwice(macs.filter((one) => one !== null));
      if (mac !== undefined) return `hardware address ${mac} is given twice`;
      const loose = guest.networks.find(
        ({ uplink }) => uplink.kind !== 'tap' && (uplink.name ?? uplink.bridge) !== null,
      );
      return loose && `an uplink of kind ${loose.uplink.kind} has no name and no bridge`;
    },
  },
  {
    keys: ['guest.networks'],
    check: ({ guest }) => {
      for (const { kind, address, gateway } of guest.networks.map(({ uplink }) => uplink)) {
        if (kind === 'passt' && (address === null || gateway === null)) {
          return 'an uplink of kind passt needs address and gateway';
        }
        if (kind !== 'passt' && (address ?? gateway) !== null) {
          return 'only an uplink of kind passt has address and gateway';
        }
      }
      return undefined;
    },
  },
  {
    keys: ['guest.disks'],
    check: ({ guest }) => {
      const disk = firstTwice(guest.disks.map((one) => one.path));
      return disk === undefined ? undefined : `${disk} is there twice`;
    },
  },
  {
    keys: ['guest.extraArguments'],
    check: ({ guest }) => {
      const name = guest.extraArguments
        .map((argument) => argument.replace(/^--/, '-').replace(/=.*$/s, ''))
        .find((argument) => Object.hasOwn(ownArguments, argument));
      if (name === undefined) return undefined;
      const instead = ownArguments[name];
      return `${name} is written by Understudy itself${instead === '' ? '' : `: set ${instead}`}`;
    },
  },
  {
    keys: ['guest.runFolder', 'guest.name'],
    check: ({ guest }) => {
      const longest = `${guest.runFolder}/${guest.name}/${longestSocketName}`;
      const excess = Buffer.byteLength(longest) - socketPathBytesMax;
      return excess <= 0
        ? undefined
        : `is ${excess} bytes too long: a unix socket's path has at most ${socketPathBytesMax}`;
    },
  },
  {
    keys: ['guest.runFolder', 'guest.memoryFolder'],
    check: ({ guest }) =>
      guest.runFolder === guest.memoryFolder
        ? 'must not be guest.memoryFolder: the one is swept at start, the other holds RAM'
        : undefined,
  },
];

/** Two keys of which either both are set or none. */
function together(
  first: string,
  second: string,
  valuesOf: (config: Sections) => readonly (string | null | undefined)[],
): Rule {
  return {
    keys: [first, second],
    check: (config) => {
      const [one, other] = valuesOf(config).map((value) => (value ?? null) !== null);
      return one === other ? undefined : `set ${first} and ${second}, or none of them`;
    },
  };
}

function needsKernel(key: 'initrd' | 'append'): Rule {
  return {
    keys: [`guest.${key}`, 'guest.kernel'],
    check: ({ guest }) =>
      guest.kernel !== null || guest[key] === null || guest[key] === ''
        ? undefined
        : 'needs guest.kernel: QEMU hands it to the kernel that it boots',
  };
}

function atMostMemory(bytes: number | null | undefined, memory: number): string | undefined {
  if (bytes === null || bytes === undefined || bytes <= memory) return undefined;
  return `must be at most guest.memory (${formatSize(memory)}): there is no more to hold`;
}

function firstTwice<T>(values: readonly T[]): T | undefined {
  return values.find((value, index) => values.indexOf(value) !== index);
}
