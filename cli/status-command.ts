import { setTimeout as sleep } from 'node:timers/promises';
import type { AgentStatus } from '../shared/agent/agent-status.ts';
import { askAgent } from '../shared/agent/control-client.ts';
import { isUnderstudyError, type UnderstudyError } from '../shared/errors.ts';
import type { Input, RunCommand } from './command.ts';
import { exitCode } from './exit-code.ts';
import { describeFailure } from './failure.ts';
import { type ChosenGuest, chooseGuests } from './guest-choice.ts';
import { statusText } from './status-text.ts';

/** How often `--watch` asks again. */
const watchEveryMs = 1000;

/** `understudy status`: what the agents of this host say of their guests. */
export const runStatus: RunCommand = async (input) => {
  if (!input.flag('watch')) return await printOnce(input);
  const isTerminal = process.stdout.isTTY === true && !input.flag('json');
  for (;;) {
    const text = (await askAll(input)).map((answer) => textOf(answer, input)).join('');
    // From the top left corner, each line's rest and what is below erased: nothing flickers.
    const shown = isTerminal ? `\x1b[H${text.replaceAll('\n', '\x1b[K\n')}\x1b[J` : text;
    process.stdout.write(shown);
    await sleep(watchEveryMs);
  }
};

type Answer =
  | { readonly guest: ChosenGuest; readonly status: AgentStatus }
  | { readonly guest: ChosenGuest; readonly error: UnderstudyError };

async function printOnce(input: Input): Promise<number> {
  const answers = await askAll(input);
  for (const answer of answers) {
    if ('status' in answer) process.stdout.write(textOf(answer, input));
    else process.stderr.write(failureText(answer.error));
  }
  return answers.every((answer) => 'status' in answer) ? exitCode.ok : exitCode.failed;
}

async function askAll(input: Input): Promise<Answer[]> {
  return await Promise.all(
    chooseGuests(input).map(async (guest): Promise<Answer> => {
      try {
        const status = (await askAgent(guest.folder, guest.name, 'status')) as AgentStatus;
        return { guest, status };
      } catch (error) {
        if (!isUnderstudyError(error)) throw error;
        return { guest, error };
      }
    }),
  );
}

function textOf(answer: Answer, input: Input): string {
  if ('error' in answer) {
    if (!input.flag('json')) return failureText(answer.error);
    const { code, message, hint } = answer.error;
    return `${JSON.stringify({ guest: answer.guest.name, error: { code, message, hint } })}\n`;
  }
  if (input.flag('json')) return `${JSON.stringify(answer.status)}\n`;
  return statusText(answer.status, process.stdout.isTTY === true);
}

const failureText = (error: UnderstudyError): string =>
  `${describeFailure(error, process.stderr.isTTY === true)}\n`;
