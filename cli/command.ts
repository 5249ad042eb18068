import { parseArgs } from 'node:util';
import { nearest } from '../shared/config/nearest.ts';
import { UnderstudyError } from '../shared/errors.ts';

/** One subcommand: all that help and parsing need; what it does is loaded when it is run. */
export interface Command {
  /** `primary`, `config check`. */
  readonly name: string;
  readonly summary: string;
  readonly positionals: readonly Positional[];
  readonly options: Readonly<Record<string, Option>>;
  /** Paragraphs below the options. */
  readonly details: readonly string[];
  readonly load: () => Promise<RunCommand>;
}

export interface Positional {
  /** As in the usage line, for example `FILE`. */
  readonly name: string;
  readonly what: string;
  readonly count: 'one' | 'optional' | 'many';
}

export interface Option {
  readonly short?: string;
  /** Name of the value, for example `FILE`; without one the option is a flag. */
  readonly value?: string;
  readonly what: string;
  readonly required?: boolean;
}

export interface Input {
  readonly positionals: readonly string[];
  readonly text: (option: string) => string | undefined;
  readonly flag: (option: string) => boolean;
}

/** Returns the exit status. */
export type RunCommand = (input: Input) => Promise<number>;

/** Throws `E_USAGE`. Undefined where help is asked for. */
export function parseCommandLine(command: Command, args: readonly string[]): Input | undefined {
  const values = parseOptions(command, args);
  if (values.values.help === true) return undefined;
  const given = values.positionals;
  const required = command.positionals.filter(({ count }) => count !== 'optional');
  const missing = required[given.length];
  if (missing !== undefined) throw usageError(command, `${missing.name} is missing`);
  const isOpen = command.positionals.some(({ count }) => count === 'many');
  const extra = given[command.positionals.length];
  if (extra !== undefined && !isOpen) throw usageError(command, `"${extra}" is one word too many`);
  for (const [name, option] of Object.entries(command.options)) {
    if (option.required !== true || values.values[name] !== undefined) continue;
    throw usageError(command, `option ${optionText(name, option)} is missing`);
  }
  return {
    positionals: given,
    text: (name) => values.values[name] as string | undefined,
    flag: (name) => values.values[name] === true,
  };
}

export function usageLine(command: Command): string {
  const options = Object.entries(command.options).map(([name, option]) => {
    const text = optionText(name, option);
    return option.required === true ? text : `[${text}]`;
  });
  const positionals = command.positionals.map(({ name, count }) => {
    if (count === 'optional') return `[${name}]`;
    return count === 'many' ? `${name}...` : name;
  });
  return ['understudy', command.name, ...positionals, ...options].join(' ');
}

/** Help of one command, ending in a line break. */
export function helpText(command: Command): string {
  const positionals = command.positionals.map(({ name, what }) => [name, what] as const);
  const options = [
    ...Object.entries(command.options).map(([name, option]) => {
      const value = option.value === undefined ? '' : ` ${option.value}`;
      return [`${shortText(option)}--${name}${value}`, option.what] as const;
    }),
    ['-h, --help', 'show this'] as const,
  ];
  const rows = [...positionals, ...options];
  const width = Math.max(...rows.map(([left]) => left.length));
  const table = rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
  const head = [`Usage: ${usageLine(command)}`, '', `${command.summary}.`, '', ...table];
  return `${[...head, ...command.details.flatMap((text) => ['', text])].join('\n')}\n`;
}

export function usageError(command: Command | undefined, message: string, near = ''): Error {
  const name = command === undefined ? '' : ` ${command.name}`;
  return new UnderstudyError('E_USAGE', `${message}${near === '' ? '' : `; ${near}`}`, {
    hint: `\`understudy${name} --help\` says how it is used`,
  });
}

function parseOptions(command: Command, args: readonly string[]) {
  const options: Record<string, { type: 'string' | 'boolean'; short?: string }> = {
    help: { type: 'boolean', short: 'h' },
  };
  for (const [name, { short, value }] of Object.entries(command.options)) {
    const type = value === undefined ? 'boolean' : 'string';
    options[name] = short === undefined ? { type } : { type, short };
  }
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (error) {
    throw explainParseError(command, options, error);
  }
}

function explainParseError(command: Command, options: object, error: unknown): unknown {
  const code = error instanceof TypeError && 'code' in error ? error.code : undefined;
  if (code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION') {
    const name = /'(-[^']*)'/.exec((error as Error).message)?.[1] ?? '?';
    const names = Object.keys(options).map((option) => `--${option}`);
    const near = name.startsWith('--') ? nearest(name, names) : undefined;
    const suggestion = near === undefined ? '' : `did you mean ${near}?`;
    return usageError(command, `unknown option ${name}`, suggestion);
  }
  if (code === 'ERR_PARSE_ARGS_INVALID_OPTION_VALUE') {
    return usageError(command, (error as Error).message.split('\n')[0]!);
  }
  return error;
}

function optionText(name: string, option: Option): string {
  const flag = option.short === undefined ? `--${name}` : `-${option.short}`;
  return option.value === undefined ? flag : `${flag} ${option.value}`;
}

function shortText(option: Option): string {
  return option.short === undefined ? '    ' : `-${option.short}, `;
}
