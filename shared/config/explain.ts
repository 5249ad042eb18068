import { Document, isMap, isScalar, isSeq, type Node } from 'yaml';
import { rangeOf } from './expectation.ts';
import type { Field, GroupField } from './field.ts';
import { asWritten } from './print.ts';
import { type AnyConfig, schemas } from './schema.ts';

const columnsMax = 96;

/**
 * The YAML of a configuration, complete, with each key explained above it. The files under
 * `configs/` are made this way. Reading it back gives the same configuration.
 */
export function explainConfig(config: AnyConfig): string {
  const schema = schemas[config.role];
  const document = new Document(asWritten(schema, config));
  document.commentBefore = [
    ' yaml-language-server: $schema=./understudy.schema.json',
    ...commentLines(`${schema.what} Sizes have a unit (512MiB); times are whole milliseconds.`, 0),
  ].join('\n');
  explainGroup(schema, document.contents, 0);
  return document.toString({ lineWidth: 0 });
}

function explainGroup(field: GroupField, node: unknown, depth: number): void {
  if (!isMap(node)) return;
  for (const [index, { key, value }] of node.items.entries()) {
    if (!isScalar(key)) continue;
    const child = field.keys[String(key.value)]!;
    key.commentBefore = commentLines(explanationOf(child), depth).join('\n');
    key.spaceBefore = index > 0;
    explainValue(child, value, depth);
  }
}

function explainValue(field: Field, value: unknown, depth: number): void {
  if (field.kind === 'group') explainGroup(field, value, depth + 1);
  if (field.kind !== 'list' || field.item.kind !== 'group' || !isSeq(value)) return;
  // One explained item is enough; the ones after it have the same keys.
  const first = value.items[0] as Node | undefined;
  explainGroup(field.item, first, depth + 2);
}

/** What it is, what it may be, why one would change it. */
function explanationOf(field: Field): string {
  if (field.kind === 'group') {
    const { what, word } = field;
    return word === undefined ? what : `${what} \`${word.text}\` in its place: ${word.what}`;
  }
  const range = rangeOf(field);
  return `${field.what} ${field.why}${range === '' ? '' : ` (${range})`}`;
}

/** Words wrapped into lines that fit behind the indentation, each with a leading blank. */
function commentLines(text: string, depth: number): string[] {
  const width = columnsMax - 2 * depth;
  const lines = [''];
  for (const word of text.split(/\s+/)) {
    if (lines.at(-1)!.length + word.length + 1 > width) lines.push('');
    lines[lines.length - 1] += ` ${word}`;
  }
  return lines;
}
