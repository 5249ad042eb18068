import { rangeOf } from './expectation.ts';
import type { Field } from './field.ts';
import { asWritten } from './print.ts';
import { type ConfigRole, configRoles, fallbackOf, schemas } from './schema.ts';

interface Key {
  readonly name: string;
  readonly field: Field;
  readonly roles: ConfigRole[];
}

/** Every key of every role as Markdown tables, one a section: the docs' part that is generated. */
export function keyTables(): string {
  const sections = new Map<string, Key[]>();
  for (const key of allKeys()) {
    const section = key.name.split(/[.[]/)[0]!;
    const keys = sections.get(section) ?? [];
    keys.push(key);
    sections.set(section, keys);
  }
  return [...sections].map(([name, keys]) => `#### ${name}\n\n${table(keys)}\n`).join('\n');
}

function table(keys: readonly Key[]): string {
  const head = '| key | files | value | default | what it is | why one would change it |';
  const rows = keys.map(({ name, field, roles }) =>
    [
      `\`${name}\``,
      roles.length === configRoles.length ? 'all' : roles.join(', '),
      rangeOf(field),
      defaultText(field),
      field.what,
      whyOf(field),
    ]
      .map((cell) => cell.replaceAll('|', '\\|'))
      .join(' | '),
  );
  return [head, '|---|---|---|---|---|---|', ...rows.map((row) => `| ${row} |`)].join('\n');
}

function whyOf(field: Field): string {
  if (field.kind !== 'group' || field.word === undefined) return field.why;
  return `\`${field.word.text}\`: ${field.word.what}`;
}

function defaultText(field: Field): string {
  if (field.kind === 'group') return 'a section';
  if (field.nullable) return '`null`';
  const fallback = fallbackOf(field);
  if (fallback === undefined) return '**required**';
  const written = asWritten(field, fallback);
  return `\`${typeof written === 'string' && written !== '' ? written : JSON.stringify(written)}\``;
}

/** Every key that holds a value, of all roles, in the order of the schemas. */
function allKeys(): Iterable<Key> {
  const keys = new Map<string, Key>();
  for (const role of configRoles) {
    for (const [name, field] of leaves(schemas[role], '')) {
      const key = keys.get(name);
      if (key === undefined) keys.set(name, { name, field, roles: [role] });
      else key.roles.push(role);
    }
  }
  const role = keys.get('role');
  if (role !== undefined) keys.set('role', { ...role, field: roleOfAnyFile(role.field) });
  return keys.values();
}

/** `role` has one value in each role's schema; the table shows them all. */
function roleOfAnyFile(field: Field): Field {
  return field.kind === 'choice' ? { ...field, values: configRoles } : field;
}

function* leaves(field: Field, name: string): Iterable<[string, Field]> {
  if (field.kind === 'group') {
    if (field.word !== undefined) yield [name, field];
    for (const [key, child] of Object.entries(field.keys)) {
      yield* leaves(child, name === '' ? key : `${name}.${key}`);
    }
    return;
  }
  yield [name, field];
  if (field.kind === 'list' && field.item.kind === 'group') yield* leaves(field.item, `${name}[]`);
}
