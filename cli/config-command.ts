import { explainConfig } from '../shared/config/explain.ts';
import { jsonSchema } from '../shared/config/json-schema.ts';
import { keyTables } from '../shared/config/key-table.ts';
import { loadConfig } from '../shared/config/load.ts';
import { printConfig } from '../shared/config/print.ts';
import { isUnderstudyError } from '../shared/errors.ts';
import type { RunCommand } from './command.ts';
import { exitCode } from './exit-code.ts';
import { describeFailure } from './failure.ts';

/** Reports every refused file, not only the first. */
export const checkConfig: RunCommand = async ({ positionals }) => {
  let status: number = exitCode.ok;
  for (const file of positionals) {
    try {
      const { role, guest } = loadConfig(file);
      process.stdout.write(`${file}: right (${role}, guest ${guest.name})\n`);
    } catch (error) {
      if (!isUnderstudyError(error)) throw error;
      process.stderr.write(`${describeFailure(error, process.stderr.isTTY === true)}\n`);
      status = exitCode.usage;
    }
  }
  return status;
};

export const printConfigFile: RunCommand = async (input) => {
  const config = loadConfig(input.positionals[0]!);
  process.stdout.write(input.flag('explain') ? explainConfig(config) : printConfig(config));
  return exitCode.ok;
};

export const printSchema: RunCommand = async () => {
  process.stdout.write(`${JSON.stringify(jsonSchema(), null, 2)}\n`);
  return exitCode.ok;
};

export const printKeys: RunCommand = async () => {
  process.stdout.write(keyTables());
  return exitCode.ok;
};
