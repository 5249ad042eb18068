import { readFileSync } from 'node:fs';
import { nearest } from '../shared/config/nearest.ts';
import { type Command, helpText, parseCommandLine, usageError } from './command.ts';
import { commands } from './commands.ts';
import { exitCode, exitCodeOf } from './exit-code.ts';
import { describeFailure } from './failure.ts';

/** The `understudy` command: finds the subcommand, runs it, reports the error that ended it. */
async function main(args: readonly string[]): Promise<number> {
  const [first = '', second] = args;
  if (args.length === 0) {
    process.stderr.write(overview());
    return exitCode.usage;
  }
  if (['--help', '-h', 'help'].includes(first)) return help(args.slice(1));
  if (first === '--version' || first === '-V') {
    process.stdout.write(`understudy ${versionText()}\n`);
    return exitCode.ok;
  }
  const command = commands.find(({ name }) => name === first || name === `${first} ${second}`);
  if (command === undefined) return askForMore(first, second);
  const input = parseCommandLine(command, args.slice(command.name.split(' ').length));
  if (input === undefined) {
    process.stdout.write(helpText(command));
    return exitCode.ok;
  }
  const run = await command.load();
  return run(input);
}

function help(words: readonly string[]): number {
  const asked = words.join(' ');
  const command = commands.find(({ name }) => name === asked);
  if (command !== undefined) process.stdout.write(helpText(command));
  else process.stdout.write(overview(asked));
  return exitCode.ok;
}

/** `understudy config` and `understudy config --help`, or a word that is no command. */
function askForMore(first: string, second: string | undefined): number {
  const inGroup = commands.filter(({ name }) => name.startsWith(`${first} `));
  if (inGroup.length > 0 && (second === '--help' || second === '-h')) {
    process.stdout.write(overview(first));
    return exitCode.ok;
  }
  if (inGroup.length > 0 && second === undefined) {
    process.stderr.write(overview(first));
    return exitCode.usage;
  }
  if (first.startsWith('-')) throw usageError(undefined, `unknown option ${first}`);
  const asked = inGroup.length > 0 ? `${first} ${second}` : first;
  const names = commands.flatMap(({ name }) =>
    inGroup.length > 0 ? [name] : [name, name.split(' ')[0]!],
  );
  const near = nearest(asked, names);
  const suggestion = near === undefined ? '' : `did you mean ${near}?`;
  throw usageError(undefined, `unknown command "${asked}"`, suggestion);
}

function overview(group = ''): string {
  const shown = commands.filter(({ name }) => name.startsWith(group === '' ? '' : `${group} `));
  const listed: readonly Command[] = shown.length > 0 ? shown : commands;
  const width = Math.max(...listed.map(({ name }) => name.length));
  const rows = listed.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`);
  return `Usage: understudy COMMAND [OPTIONS]

Keeps a running QEMU guest alive when its host dies.

${rows.join('\n')}

  --version${' '.repeat(Math.max(2, width - 7))}Print the version

\`understudy COMMAND --help\` says more about one.
`;
}

function versionText(): string {
  const packageFile = new URL('../../package.json', import.meta.url);
  return String(JSON.parse(readFileSync(packageFile, 'utf8')).version);
}

/** Ends the process with both streams drained: `process.exit` alone cuts off what is unread. */
function endWith(status: number): void {
  process.stdout.write('', () => process.stderr.write('', () => process.exit(status)));
}

function fail(error: unknown): void {
  process.stderr.write(`${describeFailure(error, process.stderr.isTTY === true)}\n`);
  endWith(exitCodeOf(error));
}

process.on('uncaughtException', fail);
// A reader such as `head` may have seen enough: that is no fault.
process.stdout.on('error', () => process.exit(exitCode.ok));
process.stderr.on('error', () => process.exit(exitCode.failed));
try {
  endWith(await main(process.argv.slice(2)));
} catch (error) {
  fail(error);
}
