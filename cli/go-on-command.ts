import { askAgent } from '../shared/agent/control-client.ts';
import type { RunCommand } from './command.ts';
import { exitCode } from './exit-code.ts';
import { chooseGuests } from './guest-choice.ts';

/** `understudy go-on`: guests that wait for a backup run without one. Throws as `askAgent` does. */
export const runGoOn: RunCommand = async (input) => {
  for (const { folder, name } of chooseGuests(input)) await askAgent(folder, name, 'go-on');
  return exitCode.ok;
};
