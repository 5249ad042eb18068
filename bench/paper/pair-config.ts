import { basename } from 'node:path';
import type { SideFolders } from '../../drill/lab-config.ts';
import type { LabGuest } from '../../drill/lab-guest/build.ts';
import { withPresets } from '../../shared/config/modes.ts';
import {
  type BackupConfig,
  defaults,
  type GuestSection,
  type PrimaryConfig,
} from '../../shared/config/schema.ts';
import { type Cell, checkpointMsOf } from './cell.ts';
import { guestAddress } from './guest-client.ts';
import { workloadOf } from './workloads.ts';

/** Of the clients' network; the clients' own address is on the bridge. */
export const bridge = { name: 'clients', address: '10.77.0.1/24' } as const;

/** The mode's presets, and what the cell says beyond them. */
export function primaryConfigOf(
  cell: Cell,
  guest: LabGuest,
  side: SideFolders,
  server: string,
): PrimaryConfig {
  const base = withPresets(defaults('primary', 'paper'), cell.mode);
  const isBlocks = cell.mode === 'fgbi';
  return {
    ...base,
    mode: cell.mode,
    guest: guestSection(base.guest, cell, guest, side),
    epoch: { ...base.epoch, intervalMs: checkpointMsOf(cell) },
    identify: { ...base.identify, blockBytes: cell.blockBytes },
    share: { ...base.share, enabled: isBlocks && cell.sharing },
    compress: {
      ...base.compress,
      enabled: isBlocks && cell.compression,
      delta: { ...base.compress.delta, enabled: isBlocks && cell.compression },
    },
    output: outputSection(base.output, cell),
    nats: { ...base.nats, servers: [server], tls: 'off' },
    log: { ...base.log, format: 'pretty', eventsFile: side.eventsFile },
  };
}

export function backupConfigOf(
  cell: Cell,
  guest: LabGuest,
  side: SideFolders,
  server: string,
): BackupConfig {
  const base = withPresets(defaults('backup', 'paper'), cell.mode);
  return {
    ...base,
    mode: cell.mode,
    guest: guestSection(base.guest, cell, guest, side),
    output: outputSection(base.output, cell),
    nats: { ...base.nats, servers: [server], tls: 'off' },
    log: { ...base.log, format: 'pretty', eventsFile: side.eventsFile },
    // A checkpoint of llm may be all that the guest ever writes.
    staging: { ...base.staging, bytesMax: workloadOf(cell.workload).memoryBytes },
    // As in the paper: what was received is run, without reading all of it once more.
    verify: { atTakeover: 'recorded' },
  };
}

function outputSection(base: PrimaryConfig['output'], cell: Cell): PrimaryConfig['output'] {
  if (cell.mode !== 'llm') return base;
  return { ...base, inputLog: { ...base.inputLog, intervalMs: cell.periodMs } };
}

function guestSection(
  base: GuestSection,
  cell: Cell,
  { kernel, initrd, append }: LabGuest,
  side: SideFolders,
): GuestSection {
  const { memoryBytes, load } = workloadOf(cell.workload);
  const [address, router] = [`${guestAddress}/24`, bridge.address.split('/')[0]!];
  const { runFolder, memoryFolder, stateFolder, serialLog } = side;
  // TAPs of one namespace: each host has its own name for what is otherwise the same card.
  const name = `tap-${basename(runFolder)}`;
  return {
    ...base,
    ...{ kernel, initrd, runFolder, memoryFolder, stateFolder, serialLog },
    memory: memoryBytes,
    append: `${append} lab.ip=${address} lab.gw=${router} ${load}`,
    networks: [
      {
        ...{ kind: 'cable', mac: null, hostForward: [] },
        uplink: { kind: 'tap', name, bridge: bridge.name, address: null, gateway: null },
      },
    ],
  };
}
