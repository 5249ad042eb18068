import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { isMap, LineCounter, parseDocument } from 'yaml';
import { systemCode, UnderstudyError } from '../errors.ts';
import { Checker } from './check.ts';
import { oneOf } from './expectation.ts';
import type { Field } from './field.ts';
import { nearest } from './nearest.ts';
import { ConfigError, type Problem } from './problem.ts';
import { rules } from './rules.ts';
import {
  type AnyConfig,
  type ConfigOf,
  type ConfigRole,
  configRoles,
  isConfigRole,
  schemas,
} from './schema.ts';

/**
 * Reads a configuration file. Throws ConfigError (`E_CONFIG_SYNTAX`, `E_CONFIG_INVALID`,
 * `E_CONFIG_CONFLICT`) with everything that is wrong with it, `E_CONFIG_ROLE` where it is a file
 * of none of `roles`, `E_CONFIG_MISSING` or `E_CONFIG_UNREADABLE` where it can't be read.
 */
export function loadConfig<R extends ConfigRole>(file: string, ...roles: R[]): ConfigOf[R] {
  const config = parseConfig(readText(file), file);
  if (roles.length > 0 && !roles.includes(config.role as R)) {
    const wanted = oneOf(roles.map((role) => `a ${role}'s`));
    throw new UnderstudyError(
      'E_CONFIG_ROLE',
      `${file} is a ${config.role}'s file, not ${wanted}`,
      {
        hint: `give the file to the ${config.role}, or change its \`role\` and the keys with it`,
        fields: { file, role: config.role },
      },
    );
  }
  return config as ConfigOf[R];
}

/** The same from text; `file` is for messages and for what relative paths are relative to. */
export function parseConfig(text: string, file: string): AnyConfig {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const problems: Problem[] = document.errors.map(({ code, message, pos }) => {
    const { line, col } = lines.linePos(pos[0]);
    const isDuplicate = code === 'DUPLICATE_KEY';
    const found = isDuplicate ? 'the same key again' : message;
    const expected = isDuplicate ? 'each key once' : '';
    const kind = isDuplicate ? 'duplicate' : 'syntax';
    return { kind, line, column: col, key: '', expected, found, suggestion: '' };
  });
  if (problems.some(({ kind }) => kind === 'syntax')) throw new ConfigError(file, problems);
  const root = document.contents;
  if (root !== null && !isMap(root)) {
    const expected = 'sections, each `name:` and its keys below it';
    const at = { key: '', line: 1, column: 1 };
    throw new ConfigError(file, [
      { kind: 'type', expected, found: 'something else', suggestion: '', ...at },
    ]);
  }
  const role = document.get('role');
  if (!isConfigRole(role))
    throw new ConfigError(file, [...problems, noRole(role, document, lines)]);
  const checker = new Checker(role, document, lines);
  const checked = checker.check();
  const config = withAbsolutePaths(schemas[role], checked, dirname(resolve(file))) as AnyConfig;
  problems.push(...checker.problems);
  problems.push(...conflicts(config, problems, checker));
  if (problems.length > 0) throw new ConfigError(file, problems);
  return config;
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    const code = systemCode(cause) ?? 'unknown error';
    const isMissing = code === 'ENOENT' || code === 'ENOTDIR';
    const message = isMissing ? `there is no file ${file}` : `${file} can't be read (${code})`;
    throw new UnderstudyError(isMissing ? 'E_CONFIG_MISSING' : 'E_CONFIG_UNREADABLE', message, {
      hint: isMissing
        ? 'name an existing file; configs/ has one to start from for each role'
        : 'it has to be a regular file that this user may read',
      fields: { file, systemCode: code },
      cause,
    });
  }
}

type Parsed = ReturnType<typeof parseDocument>;

/** Without its role nothing can be said about a file's keys, so this problem stands alone. */
function noRole(role: unknown, document: Parsed, lines: LineCounter): Problem {
  const pairs = isMap(document.contents) ? document.contents.items : [];
  const pair = pairs.find(({ key }) => String(key) === 'role');
  const offset = (pair?.key as { range?: [number, number, number] } | undefined)?.range?.[0] ?? 0;
  const { line, col } = lines.linePos(offset);
  const near = typeof role === 'string' ? nearest(role, configRoles) : undefined;
  return {
    kind: role === undefined ? 'missing' : 'range',
    line: Math.max(1, line),
    column: Math.max(1, col),
    key: 'role',
    expected: oneOf(configRoles),
    found: role === undefined ? 'nothing' : JSON.stringify(role),
    suggestion: near === undefined ? 'the file has to say whose it is' : `did you mean ${near}?`,
  };
}

function conflicts(config: AnyConfig, known: readonly Problem[], checker: Checker): Problem[] {
  const isRefused = (key: string) =>
    known.some((problem) => `${problem.key}.`.replace('[', '.').startsWith(`${key}.`));
  const found: Problem[] = [];
  for (const rule of rules) {
    if (rule.keys.some(isRefused)) continue;
    const wrong = rule.check(config);
    if (wrong === undefined) continue;
    // The sentence is about the first key; where the file leaves that one out, what it says of
    // another one is the cause.
    const key = rule.keys[0]!;
    const place = checker.placeOf(rule.keys.find((one) => checker.isGiven(one)) ?? key);
    found.push({ kind: 'conflict', key, expected: '', found: wrong, suggestion: '', ...place });
  }
  return found;
}

function withAbsolutePaths(field: Field, value: unknown, folder: string): unknown {
  if (value === null || value === undefined) return value;
  if (field.kind === 'path') return resolve(folder, value as string);
  if (field.kind === 'list') {
    return (value as unknown[]).map((item) => withAbsolutePaths(field.item, item, folder));
  }
  if (field.kind !== 'group' || value === field.word?.text) return value;
  const keys = Object.entries(value as Record<string, unknown>);
  return Object.fromEntries(
    keys.map(([name, child]) => [name, withAbsolutePaths(field.keys[name]!, child, folder)]),
  );
}
