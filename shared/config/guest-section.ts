import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { isGuestName } from '../ids.ts';
import type { GuestConfig, NetworkConfig } from '../qemu/guest-options.ts';
import type { GuestSection } from './schema.ts';

/** The guest of a configuration file, as `shared/qemu` takes it. */
export function toGuestConfig(section: GuestSection): GuestConfig {
  const {
    name,
    memory,
    cpu,
    kernel,
    initrd,
    append,
    serialLog,
    networks,
    stateFolder: _,
    ...same
  } = section;
  if (!isGuestName(name)) throw new Error(`the schema let the guest name "${name}" pass`);
  return {
    ...same,
    name,
    memoryBytes: memory,
    cpu: cpu ?? undefined,
    kernel: kernel ?? undefined,
    initrd: initrd ?? undefined,
    append: append === '' ? undefined : append,
    serialLog: serialLog ?? undefined,
    networks: networks.map((network, card) => toNetwork(network, name, card)),
    runFolder: join(section.runFolder, name),
  };
}

/** Only the keys of its kind: the rules have refused the others where they were set. */
function toNetwork(section: NetworkSection, guest: string, card: number): NetworkConfig {
  const { kind, hostForward, mac, uplink } = section;
  if (kind === 'user') return { kind, hostForward };
  if (kind === 'none') return { kind };
  if (uplink.kind === 'none') return { kind, mac, uplink: { kind: 'none' } };
  if (uplink.kind === 'passt') {
    const { address, gateway } = uplink;
    if (address === null || gateway === null) throw new Error('the rules let passt pass without');
    return { kind, mac, uplink: { kind: 'passt', address, gateway, forward: hostForward } };
  }
  const name = uplink.name ?? tapName(guest, card);
  return { kind, mac, uplink: { kind: 'tap', name, bridge: uplink.bridge } };
}

/** An interface's name has at most 15 bytes, a guest's more. */
function tapName(guest: string, card: number): string {
  const digest = createHash('sha256').update(guest).digest('hex').slice(0, 10);
  return `us${digest}-${card}`;
}

type NetworkSection = GuestSection['networks'][number];
