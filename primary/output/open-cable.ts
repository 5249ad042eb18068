import { toGuestConfig } from '../../shared/config/guest-section.ts';
import type { PrimaryConfig } from '../../shared/config/schema.ts';
import { UnderstudyError } from '../../shared/errors.ts';
import { cableCards } from '../../shared/qemu/cable-cards.ts';
import { GuestCable, type GuestCableOptions } from './guest-cable.ts';

/**
 * The guest's cables as the configuration has them, behind the rule of `output.rule`; undefined
 * where it has none.
 * Warns `E_OUTPUT_UNSAFE`. Throws as `GuestCable.open`.
 */
export async function openCable(
  config: PrimaryConfig,
  options: Omit<GuestCableOptions, 'cards' | 'output'>,
): Promise<GuestCable | undefined> {
  const cards = cableCards(toGuestConfig(config.guest));
  if (cards.length === 0) return undefined;
  const { output, guest } = config;
  if (output.rule === 'unsafe') options.onWarning(unsafe(guest.name));
  return await GuestCable.open({ ...options, cards, output });
}

function unsafe(guest: string): UnderstudyError {
  const message = `${guest} answers before its backup knows: a takeover WILL lose what clients were told`;
  return new UnderstudyError('E_OUTPUT_UNSAFE', message, {
    hint: 'output.rule is `unsafe`, which is for measurement only; set it to `commit`.',
    fields: { guest },
  });
}
