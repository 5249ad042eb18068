import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { usageLine } from '../../cli/command.ts';
import { commands } from '../../cli/commands.ts';
import { exitCode } from '../../cli/exit-code.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const page = readFileSync(join(root, 'docs/OPERATIONS.md'), 'utf8');

/** Codes that the sources name, between quotes of any kind, or behind `error` in the launcher. */
function codesOfSources(): Map<string, string> {
  const codes = new Map<string, string>();
  const note = (file: string, pattern: RegExp) => {
    for (const match of readFileSync(file, 'utf8').matchAll(pattern)) {
      // `E_CONFIG_` alone is a family, not a code.
      if (!match[1]!.endsWith('_')) codes.set(match[1]!, file);
    }
  };
  for (const folder of ['shared', 'primary', 'backup', 'drill', 'cli']) {
    for (const name of readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })) {
      if (name.endsWith('.ts')) note(join(root, folder, name), /['"`](E_[A-Z0-9_]+)['"`]/g);
    }
  }
  note(join(root, 'bin/understudy'), /error (E_[A-Z0-9_]+):/g);
  return codes;
}

/** Codes in the first column of the page's tables. */
function codesOfPage(): string[] {
  const rows = page.split('\n').filter((line) => line.startsWith('| `E_'));
  return rows.flatMap((row) =>
    [...row.split(' | ')[0]!.matchAll(/`(E_[A-Z0-9_]+)`/g)].map((match) => match[1]!),
  );
}

test('every error code of the sources is explained in docs/OPERATIONS.md', (t) => {
  const sources = codesOfSources();
  const explained = new Set(codesOfPage());
  t.true(sources.size > 50, 'the pattern finds codes');
  t.deepEqual(
    [...sources].filter(([code]) => !explained.has(code)),
    [],
  );
});

test('docs/OPERATIONS.md explains each code once, and none that is not there', (t) => {
  const sources = codesOfSources();
  const explained = codesOfPage();
  t.deepEqual(
    explained.filter((code) => !sources.has(code)),
    [],
  );
  t.deepEqual(
    explained.filter((code, index) => explained.indexOf(code) !== index),
    [],
  );
});

test('docs/OPERATIONS.md has every command and every exit status', (t) => {
  for (const command of commands) {
    t.true(page.includes(`\`understudy ${command.name}`), usageLine(command));
    for (const option of Object.keys(command.options)) {
      const short = command.options[option]!.short;
      t.true(page.includes(`--${option}`) || page.includes(`-${short} `), option);
    }
  }
  for (const status of Object.values(exitCode)) t.true(page.includes(`\n| ${status} | `));
});
