import { type Document, isAlias, isMap, isScalar, isSeq, type LineCounter, type Node } from 'yaml';
import { expectationOf, oneOf } from './expectation.ts';
import type { Field, GroupField, ListField } from './field.ts';
import { presetOf } from './modes.ts';
import { nearest } from './nearest.ts';
import type { Problem, ProblemKind } from './problem.ts';
import { type ConfigRole, fallbackOf, rolesWith, schemas } from './schema.ts';
import { guessSize, parseSize } from './size.ts';

type Path = readonly (string | number)[];
interface Place {
  readonly line: number;
  readonly column: number;
}

/**
 * Walks a parsed file along a role's schema: fills in defaults, notes where each key stands, and
 * collects everything that is wrong instead of stopping at the first.
 */
export class Checker {
  readonly problems: Problem[] = [];
  readonly #role: ConfigRole;
  readonly #document: Document;
  readonly #lines: LineCounter;
  readonly #mode: unknown;
  readonly #places = new Map<string, Place>();

  constructor(role: ConfigRole, document: Document, lines: LineCounter) {
    this.#role = role;
    this.#document = document;
    this.#lines = lines;
    this.#mode = document.get('mode');
  }

  /** The configuration, complete; a value that was refused is replaced by its default. */
  check(): unknown {
    return this.#field(schemas[this.#role], this.#document.contents, []);
  }

  /** Where `key` (`epoch.intervalMs`) stands, or the nearest thing around it that is there. */
  placeOf(key: string): Place {
    const found = this.#places.get(key);
    if (found !== undefined) return found;
    const parent = /^(.*)(?:\.[^.[]+|\[\d+\])$/.exec(key)?.[1];
    return parent === undefined ? { line: 1, column: 1 } : this.placeOf(parent);
  }

  /** True where the file itself has `key`. */
  isGiven(key: string): boolean {
    return this.#places.has(key);
  }

  #field(field: Field, given: unknown, path: Path): unknown {
    const node = isAlias(given) ? given.resolve(this.#document) : given;
    const empty = node === null || node === undefined || (isScalar(node) && node.value === null);
    if (empty && field.nullable) return null;
    if (empty && field.kind === 'group') return this.#group(field, [], path);
    switch (field.kind) {
      case 'group':
        if (isMap(node)) return this.#group(field, node.items, path);
        if (field.word !== undefined && isScalar(node)) {
          return this.#word(field, field.word.text, node.value, path);
        }
        break;
      case 'list':
        if (isSeq(node)) return this.#list(field, node.items, path);
        break;
      default:
        if (isScalar(node)) return this.#scalar(field, node.value, path);
    }
    return this.#refuse('type', field, path, describe(node));
  }

  #group(
    field: GroupField,
    pairs: readonly { readonly key: unknown; readonly value: unknown }[],
    path: Path,
  ): unknown {
    const given = new Map<string, unknown>();
    for (const { key, value } of pairs) {
      const name = isScalar(key) ? String(key.value) : '?';
      this.#places.set(keyText([...path, name]), this.#placeOfNode(key as Node));
      if (Object.hasOwn(field.keys, name)) given.set(name, value);
      else this.#refuseUnknown(field, name, path);
    }
    const result: Record<string, unknown> = {};
    for (const [name, child] of Object.entries(field.keys)) {
      const childPath = [...path, name];
      const isRequired = child.kind !== 'group' && !child.nullable && child.fallback === undefined;
      if (given.has(name)) result[name] = this.#field(child, given.get(name), childPath);
      else if (child.kind === 'group' && !child.nullable) {
        result[name] = this.#group(child, [], childPath);
      } else if (isRequired) result[name] = this.#refuse('missing', child, childPath, 'nothing');
      else result[name] = presetOf(this.#mode, keyText(childPath)) ?? fallbackOf(child);
    }
    return result;
  }

  #word(field: GroupField, word: string, value: unknown, path: Path): unknown {
    if (value === word) return word;
    const near = nearest(String(value), [word]) ?? (value === false ? word : undefined);
    const suggestion = near === undefined ? '' : `did you mean ${near}?`;
    return this.#refuse('type', field, path, describeValue(value), suggestion);
  }

  #list(field: ListField, items: readonly unknown[], path: Path): unknown {
    if (items.length < field.countMin || items.length > field.countMax) {
      return this.#refuse('range', field, path, `${items.length}`);
    }
    return items.map((item, index) => {
      const itemPath = [...path, index];
      this.#places.set(keyText(itemPath), this.#placeOfNode(item as Node));
      return this.#field(field.item, item, itemPath);
    });
  }

  #scalar(field: Field, value: unknown, path: Path): unknown {
    const found = describeValue(value);
    switch (field.kind) {
      case 'integer':
        if (!Number.isSafeInteger(value)) return this.#refuse('type', field, path, found);
        if (isWithin(value as number, field)) return value;
        return this.#refuse('range', field, path, found);
      case 'size': {
        const bytes = typeof value === 'string' ? parseSize(value) : undefined;
        if (bytes === undefined) {
          const guess = guessSize(String(value));
          const suggestion = guess === undefined ? '' : `did you mean ${guess}?`;
          return this.#refuse('type', field, path, found, suggestion);
        }
        if (isWithin(bytes, field) && bytes % field.multipleOf === 0) return bytes;
        return this.#refuse('range', field, path, found);
      }
      case 'flag':
        if (typeof value === 'boolean') return value;
        return this.#refuse('type', field, path, found, guessFlag(value));
      case 'text':
        if (typeof value !== 'string') return this.#refuse('type', field, path, found);
        if (field.pattern.test(value) && !value.includes('\0')) return value;
        return this.#refuse('range', field, path, found);
      case 'path':
        if (typeof value === 'string' && value !== '' && !value.includes('\0')) return value;
        return this.#refuse('type', field, path, found);
      case 'choice': {
        if (field.values.includes(value as string | number)) return value;
        const near = nearest(String(value), field.values.map(String));
        const suggestion = near === undefined ? '' : `did you mean ${near}?`;
        return this.#refuse('range', field, path, found, suggestion);
      }
      default:
        return this.#refuse('type', field, path, found);
    }
  }

  #refuse(kind: ProblemKind, field: Field, path: Path, found: string, suggestion = ''): unknown {
    this.#add(kind, path, expectationOf(field), found, suggestion);
    return fallbackOf(field);
  }

  #refuseUnknown(field: GroupField, name: string, path: Path): void {
    const names = path.filter((part) => typeof part === 'string');
    const roles = rolesWith([...names, name]);
    if (roles.length > 0) {
      const files = oneOf(roles.map((role) => `a ${role}'s`));
      const whose = `a key of ${files} file, and this is a ${this.#role}'s`;
      this.#add('other-role', [...path, name], '', whose, '');
      return;
    }
    const near = nearest(name, Object.keys(field.keys));
    const elsewhere = keysNamed(schemas[this.#role], name);
    let suggestion = `the keys here are ${Object.keys(field.keys).join(', ')}`;
    if (elsewhere.length > 0) suggestion = `it belongs under ${oneOf(elsewhere)}`;
    if (near !== undefined) suggestion = `did you mean ${near}?`;
    this.#add('unknown', [...path, name], '', 'unknown key', suggestion);
  }

  #add(kind: ProblemKind, path: Path, expected: string, found: string, suggestion: string): void {
    const key = keyText(path);
    this.problems.push({ kind, key, expected, found, suggestion, ...this.placeOf(key) });
  }

  #placeOfNode(node: Node | null): Place {
    const offset = node?.range?.[0];
    if (offset === undefined) return { line: 1, column: 1 };
    const { line, col } = this.#lines.linePos(offset);
    return { line, column: col };
  }
}

/** `['guest', 'disks', 0, 'path']` as `guest.disks[0].path`. */
function keyText(path: Path): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else text += text === '' ? part : `.${part}`;
  }
  return text;
}

/** The sections of `schema` that have a key of this name. */
function keysNamed(schema: GroupField, name: string, path: readonly string[] = []): string[] {
  const found: string[] = [];
  for (const [key, field] of Object.entries(schema.keys)) {
    if (key === name && path.length > 0) found.push(path.join('.'));
    if (field.kind === 'group') found.push(...keysNamed(field, name, [...path, key]));
  }
  return found;
}

function isWithin(value: number, range: { readonly min: number; readonly max: number }): boolean {
  return value >= range.min && value <= range.max;
}

function guessFlag(value: unknown): string {
  const text = String(value).toLowerCase();
  if (['yes', 'on', '1', 'y'].includes(text)) return 'did you mean true?';
  return ['no', 'off', '0', 'n'].includes(text) ? 'did you mean false?' : '';
}

function describe(node: unknown): string {
  if (isMap(node)) return 'a section';
  if (isSeq(node)) return 'a list';
  return isScalar(node) ? describeValue(node.value) : 'nothing';
}

function describeValue(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (typeof value !== 'string') return `the ${typeof value} ${String(value)}`;
  const short = value.length > 60 ? `${value.slice(0, 57)}…` : value;
  return JSON.stringify(short);
}
