import { suites } from './catalog.ts';
import { answerOneTask } from './child.ts';
import type { SuiteTask } from './suite-process.ts';

// The process of one suite; `suite-process.ts` starts it.
answerOneTask(async ({ name, quick }: SuiteTask) => {
  const suite = suites.find((one) => one.name === name);
  if (suite === undefined) throw new Error(`no suite ${name}`);
  const progress = (line: string): void => void process.stderr.write(`bench:   ${line}\n`);
  return await suite.run({ quick, progress });
});
