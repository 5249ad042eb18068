import { reasonOf } from './attempt.ts';
import { suites } from './catalog.ts';

// The process of one suite; `suite-process.ts` starts it: node suite-child.js NAME QUICK.
const [name, quick] = process.argv.slice(2);
const suite = suites.find((one) => one.name === name);
if (suite === undefined || process.send === undefined) {
  throw new Error('suite-child is started by the benchmark, with the name of a suite');
}
const progress = (line: string): void => void process.stderr.write(`bench:   ${line}\n`);

let answer: object;
try {
  answer = { rows: await suite.run({ quick: quick === 'true', progress }) };
} catch (error) {
  answer = { failed: reasonOf(error) };
  process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
}
process.send(answer, () => process.disconnect());
