import type { Field } from './field.ts';
import { formatSize, sizeExpected } from './size.ts';

/** What a key may hold, for refusals and for the docs: `a whole number from 10 to 60000`. */
export function expectationOf(field: Field): string {
  const text = plainExpectationOf(field);
  return field.nullable ? `${text}, or nothing` : text;
}

function plainExpectationOf(field: Field): string {
  switch (field.kind) {
    case 'integer':
      return `a whole number from ${field.min} to ${field.max}`;
    case 'size': {
      const range = `from ${formatSize(field.min)} to ${formatSize(field.max)}`;
      const step = field.multipleOf === 1 ? '' : `, a multiple of ${formatSize(field.multipleOf)}`;
      return `${sizeExpected}, ${range}${step}`;
    }
    case 'flag':
      return 'true or false';
    case 'text':
      return field.expected;
    case 'path':
      return 'a path';
    case 'choice':
      return oneOf(field.values.map(String));
    case 'list': {
      const least = field.countMin === 0 ? '' : `at least ${field.countMin} and `;
      return `a list of ${least}at most ${field.countMax}`;
    }
    case 'group': {
      const section = `a section with ${Object.keys(field.keys).join(', ')}`;
      return field.word === undefined ? section : `${section}; or ${field.word.text}`;
    }
  }
}

/** The same in short, for comments and tables: `10–60000`; empty where `what` says enough. */
export function rangeOf(field: Field): string {
  switch (field.kind) {
    case 'integer':
      return `${field.min}–${field.max}`;
    case 'size': {
      const step = field.multipleOf === 1 ? '' : ` in steps of ${formatSize(field.multipleOf)}`;
      return `${formatSize(field.min)}–${formatSize(field.max)}${step}`;
    }
    case 'flag':
      return 'true or false';
    case 'choice':
      return oneOf(field.values.map(String));
    case 'group':
      return field.word?.text ?? '';
    default:
      return '';
  }
}

/** `a`, `a or b`, `a, b or c`. */
export function oneOf(values: readonly string[]): string {
  if (values.length < 2) return values.join('');
  return `${values.slice(0, -1).join(', ')} or ${values.at(-1)}`;
}
