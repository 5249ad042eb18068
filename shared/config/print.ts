import { stringify } from 'yaml';
import type { Field } from './field.ts';
import { type AnyConfig, schemas } from './schema.ts';
import { formatSize } from './size.ts';

/** The YAML of a configuration, complete: reading it back gives the same configuration. */
export function printConfig(config: AnyConfig): string {
  return stringify(asWritten(schemas[config.role], config), { lineWidth: 0 });
}

/** A value as the file has it: sizes with their unit, everything else as it is. */
export function asWritten(field: Field, value: unknown): unknown {
  if (value === null || value === undefined) return null;
  if (field.kind === 'size') return formatSize(value as number);
  if (field.kind === 'list') return (value as unknown[]).map((item) => asWritten(field.item, item));
  if (field.kind !== 'group') return value;
  if (value === field.word?.text) return value;
  const keys = Object.entries(field.keys);
  const values = value as Record<string, unknown>;
  return Object.fromEntries(keys.map(([name, key]) => [name, asWritten(key, values[name])]));
}
