import type { CableCard } from '../net/guest-network.ts';
import { cablePath, type GuestConfig, guestPaths, macOf } from './guest-options.ts';

/** The guest's cards that are on a cable, as `GuestNetwork` takes them. */
export function cableCards(config: GuestConfig): CableCard[] {
  const paths = guestPaths(config);
  return config.networks.flatMap((network, card) =>
    network.kind === 'cable'
      ? [{ card, mac: macOf(config, card), path: cablePath(paths, card), uplink: network.uplink }]
      : [],
  );
}
