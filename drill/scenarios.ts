import { faults } from './faults.ts';
import type { Lab } from './lab.ts';
import { faulty, randomFaults } from './scenarios/faulty.ts';
import { killBackup } from './scenarios/kill-backup.ts';
import { killHost } from './scenarios/kill-host.ts';
import { slowDisk } from './scenarios/slow-disk.ts';
import { latency, steady } from './scenarios/unharmed.ts';
import type { DrillContext, Findings } from './steps.ts';

export interface Scenario {
  /** One line for `--help`. */
  readonly summary: string;
  readonly run: (lab: Lab, context: DrillContext) => Promise<Findings>;
  /** NATS servers, where hosts have networks of their own; three of them also keep the record. */
  readonly servers: 1 | 3;
  /** Hosts must have networks of their own, to be cut off and watched. */
  readonly needsNetwork: boolean;
  /** The lab guest has a replicated disk, also where the file gives it none. */
  readonly needsDisk?: boolean;
}

const ofFault = (name: keyof typeof faults, servers: 1 | 3 = 1): Scenario => ({
  summary: faults[name].what,
  run: faulty(name),
  servers,
  needsNetwork: true,
});

export const scenarios: Readonly<Record<string, Scenario>> = {
  'kill-host': {
    summary: "kill the primary's host, go on on the backup",
    run: killHost,
    servers: 1,
    needsNetwork: false,
  },
  'kill-backup': {
    summary: 'kill the backup, bring it back, then kill the host',
    run: killBackup,
    servers: 1,
    needsNetwork: false,
  },
  'kill-agent': ofFault('kill-agent'),
  'kill-qemu': ofFault('kill-qemu'),
  'freeze-host': ofFault('freeze-host'),
  'partition-primary': ofFault('partition-primary'),
  'partition-backup': ofFault('partition-backup'),
  'partition-both-from-nats': ofFault('partition-both-from-nats'),
  'kill-nats': ofFault('kill-nats', 3),
  'slow-link': ofFault('slow-link'),
  'slow-disk': {
    summary: "the primary's disk is slow, then the backup's; while it still is, kill the host",
    run: slowDisk,
    servers: 1,
    needsNetwork: true,
    needsDisk: true,
  },
  switchover: {
    summary: 'an operator moves the guest to the other host, and back',
    run: faulty('switchover', 'switchover'),
    servers: 1,
    needsNetwork: true,
  },
  return: {
    summary: 'the host dies and returns, three times, back and forth',
    run: faulty('kill-host', 'kill-host', 'kill-host'),
    servers: 1,
    needsNetwork: true,
  },
  steady: {
    summary: 'nothing is done, for --duration seconds, while every core is wanted by a neighbour',
    run: steady,
    servers: 3,
    needsNetwork: true,
  },
  latency: {
    summary: 'a client of the guest, protected and then alone, for --duration seconds each',
    run: latency,
    servers: 1,
    needsNetwork: true,
  },
  random: {
    summary: 'faults drawn by a seed, one after the other, for --duration seconds',
    run: randomFaults,
    servers: 3,
    needsNetwork: true,
  },
};
