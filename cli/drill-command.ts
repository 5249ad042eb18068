import { resolve } from 'node:path';
import { runDrill } from '../drill/run.ts';
import { UnderstudyError } from '../shared/errors.ts';
import type { RunCommand } from './command.ts';

export const runDrillCommand: RunCommand = (input) => {
  const guest = input.text('guest');
  const report = input.text('report');
  return runDrill({
    scenario: input.positionals[0] ?? 'kill-host',
    guestFile: guest === undefined ? undefined : resolve(guest),
    json: input.flag('json'),
    reportFolder: report === undefined ? undefined : resolve(report),
    seed: toSeed(input.text('seed')),
    durationMs: toDuration(input.text('duration')),
  });
};

function toDuration(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const seconds = Number(text);
  if (/^\d+$/.test(text) && seconds > 0 && seconds <= 1_000_000) return seconds * 1000;
  throw new UnderstudyError('E_USAGE', `"${text}" is no number of seconds`, {
    hint: 'Give a whole number, such as 600.',
  });
}

function toSeed(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const seed = Number(text);
  if (/^\d+$/.test(text) && seed <= 0xffffffff) return seed;
  throw new UnderstudyError('E_USAGE', `"${text}" is not a seed`, {
    hint: 'A seed is a whole number below 2^32, as a drill prints it.',
  });
}
