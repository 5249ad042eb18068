import type { Field } from './field.ts';
import { asWritten } from './print.ts';
import { configRoles, fallbackOf, schemas } from './schema.ts';
import { sizePatternSource } from './size.ts';

type JsonSchema = Readonly<Record<string, unknown>>;

/**
 * The JSON Schema (draft 07) of all three kinds of file, for editors. It says less than the
 * validation at start: no rules across keys, no limits of sizes.
 */
export function jsonSchema(): JsonSchema {
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Understudy configuration',
    type: 'object',
    required: ['role'],
    properties: { role: { enum: configRoles } },
    allOf: configRoles.map((role) => ({
      if: { properties: { role: { const: role } }, required: ['role'] },
      // biome-ignore lint/suspicious/noThenProperty: the word of JSON Schema
      then: schemaOf(schemas[role]),
    })),
  };
}

function schemaOf(field: Field): JsonSchema {
  const description = [field.what, field.why].filter((text) => text !== '').join(' ');
  const fallback = field.kind === 'group' ? undefined : asWritten(field, fallbackOf(field));
  const isSaid = field.nullable || (fallback !== null && fallback !== undefined);
  const rest = isSaid ? { description, default: fallback } : { description };
  const shape = shapeOf(field);
  if (!field.nullable) return { ...rest, ...shape };
  return { ...rest, anyOf: [shape, { type: 'null' }] };
}

function shapeOf(field: Field): JsonSchema {
  switch (field.kind) {
    case 'integer':
      return { type: 'integer', minimum: field.min, maximum: field.max };
    case 'size':
      return { type: 'string', pattern: sizePatternSource };
    case 'flag':
      return { type: 'boolean' };
    case 'text':
      return { type: 'string', pattern: field.pattern.source };
    case 'path':
      return { type: 'string', minLength: 1 };
    case 'choice':
      return { enum: field.values };
    case 'list': {
      const { countMin, countMax } = field;
      return { type: 'array', items: schemaOf(field.item), minItems: countMin, maxItems: countMax };
    }
    case 'group': {
      const keys = Object.entries(field.keys);
      const properties = Object.fromEntries(keys.map(([name, key]) => [name, schemaOf(key)]));
      const required = keys.filter(([, key]) => hasToBeSaid(key)).map(([name]) => name);
      const plain = { type: 'object', properties, additionalProperties: false };
      const shape = required.length > 0 ? { ...plain, required } : plain;
      return field.word === undefined ? shape : { anyOf: [shape, { const: field.word.text }] };
    }
  }
}

function hasToBeSaid(field: Field): boolean {
  if (field.nullable) return false;
  if (field.kind === 'group') return Object.values(field.keys).some(hasToBeSaid);
  return field.fallback === undefined;
}
