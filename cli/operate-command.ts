import { askAgent } from '../shared/agent/control-client.ts';
import type { Input, RunCommand } from './command.ts';
import { exitCode } from './exit-code.ts';
import { chooseGuest } from './guest-choice.ts';

/** A command that the agent of one guest carries out; what it says when that is done. */
const operation =
  (command: string, sayDone: (guest: string, changed: boolean) => string): RunCommand =>
  async (input: Input) => {
    const { name, folder } = chooseGuest(input);
    const { changed } = (await askAgent(folder, name, command)) as { readonly changed: boolean };
    process.stdout.write(`${sayDone(name, changed)}\n`);
    return exitCode.ok;
  };

export const runPause = operation('pause', (guest, changed) => {
  const was = changed ? 'is paused' : 'was paused already';
  return `${guest} ${was}: it runs UNPROTECTED, and nobody takes over, until \`understudy resume ${guest}\``;
});

export const runResume = operation('resume', (guest, changed) =>
  changed
    ? `${guest} is resumed: a backup is sought; \`understudy status ${guest}\` says when it is protected`
    : `${guest} was not paused`,
);

export const runSwitchover = operation(
  'switchover',
  (guest) => `${guest} runs on the other host now; this one is brought level as its backup`,
);

export const runGoOn = operation(
  'go-on',
  (guest) =>
    `${guest} goes on if it stood still for want of a backup, UNPROTECTED until one is level`,
);
