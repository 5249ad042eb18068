import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { controlSocketPath } from '../shared/agent/control-socket.ts';
import { loadConfig } from '../shared/config/load.ts';
import { defaults } from '../shared/config/schema.ts';
import { UnderstudyError } from '../shared/errors.ts';
import { isGuestName } from '../shared/ids.ts';
import type { Input } from './command.ts';

/** A guest of this host, and the run folder where its agent listens. */
export interface ChosenGuest {
  readonly name: string;
  readonly folder: string;
}

/**
 * The guests that GUEST and `-c FILE` name; without either all that have an agent's socket in the
 * default run folder. Throws `E_USAGE`, `E_AGENT_ABSENT`, and as `loadConfig` does.
 */
export function chooseGuests(input: Input): ChosenGuest[] {
  const [name] = input.positionals;
  const file = input.text('config');
  if (file !== undefined) {
    const { guest } = loadConfig(file, 'primary', 'backup');
    if (name !== undefined && name !== guest.name) {
      throw usage(`${file} is about guest ${guest.name}, not ${name}`);
    }
    return [{ name: guest.name, folder: join(guest.runFolder, guest.name) }];
  }
  const { runFolder } = defaults('primary', '').guest;
  if (name === undefined) return guestsIn(runFolder);
  if (!isGuestName(name)) throw usage(`"${name}" can't be the name of a guest`);
  return [{ name, folder: join(runFolder, name) }];
}

/** As `chooseGuests`, where there has to be exactly one. */
export function chooseGuest(input: Input): ChosenGuest {
  const chosen = chooseGuests(input);
  const [first, ...others] = chosen;
  if (first !== undefined && others.length === 0) return first;
  throw usage(`which guest? ${chosen.map(({ name }) => name).join(', ')}`);
}

function guestsIn(runFolder: string): ChosenGuest[] {
  const names = existsSync(runFolder) ? readdirSync(runFolder) : [];
  const found = names
    .map((name) => ({ name, folder: join(runFolder, name) }))
    .filter(({ folder }) => existsSync(controlSocketPath(folder)));
  if (found.length > 0) return found;
  throw new UnderstudyError('E_AGENT_ABSENT', `no agent runs here with sockets in ${runFolder}`, {
    hint: 'Start one, or name the file that it was started with: -c FILE.',
  });
}

function usage(message: string): UnderstudyError {
  return new UnderstudyError('E_USAGE', message, {
    hint: 'Name the guest, or the file that its agent was started with: -c FILE.',
  });
}
