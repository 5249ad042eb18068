import { toGuestConfig } from '../../shared/config/guest-section.ts';
import type { PrimaryConfig } from '../../shared/config/schema.ts';
import { UnderstudyError } from '../../shared/errors.ts';
import type { GuestNetwork } from '../../shared/net/guest-network.ts';
import { cableCards } from '../../shared/qemu/cable-cards.ts';
import { GuestCable } from './guest-cable.ts';

/**
 * The guest's cables as the configuration has them, behind the rule of `output.rule`; undefined
 * where it has none. `network`: open already, of a guest that was just taken over.
 * Warns `E_OUTPUT_UNSAFE`. Throws as `GuestCable.open`.
 */
export async function openCable(
  config: PrimaryConfig,
  network: GuestNetwork | undefined,
  onWarning: (error: UnderstudyError) => void,
  onCheckpointWanted: () => void,
): Promise<GuestCable | undefined> {
  const cards = cableCards(toGuestConfig(config.guest));
  if (cards.length === 0) return undefined;
  const { rule, bytesMax } = config.output;
  if (rule === 'unsafe') onWarning(unsafe(config.guest.name));
  const mode = rule === 'unsafe' ? 'unsafe' : 'commit';
  return await GuestCable.open({
    ...{ cards, network, mode, bytesMax, onWarning, onCheckpointWanted },
  });
}

function unsafe(guest: string): UnderstudyError {
  const message = `${guest} answers before its backup knows: a takeover WILL lose what clients were told`;
  return new UnderstudyError('E_OUTPUT_UNSAFE', message, {
    hint: 'output.rule is `unsafe`, which is for measurement only; set it to `commit`.',
    fields: { guest },
  });
}
