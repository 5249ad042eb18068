import { resolve } from 'node:path';
import { stringify } from 'yaml';
import { buildLabGuest } from '../drill/lab-guest/build.ts';
import type { RunCommand } from './command.ts';
import { exitCode } from './exit-code.ts';

/** `understudy guest build`: what can be pasted into a file goes to standard output. */
export const buildGuest: RunCommand = async (input) => {
  const cache = input.text('cache');
  const { kernel, initrd, append } = await buildLabGuest({
    ...(cache === undefined ? {} : { cacheFolder: resolve(cache) }),
    onProgress: (step) => process.stderr.write(`${step}\n`),
  });
  process.stdout.write(stringify({ guest: { kernel, initrd, append } }, { lineWidth: 0 }));
  return exitCode.ok;
};
